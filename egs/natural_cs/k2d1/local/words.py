"""What the speakers of natural_cs say: templates of lecture sentences and the words that fill them.

A template is a sentence with {slots}; a slot is filled with one of its words, which may hold slots again. Latin letters
are English; everything else is Mandarin, in Traditional Chinese. "，" is a pause: spoken, but never written into a
transcript. {e} is an English term of the topic, {z} a term in either language, {v} an English verb.

The embedded English is what lecturers in Taiwan keep in English: terms, verbs around them, and now and then a whole
sentence. Real Whisper translates it, writes it in characters that sound alike, or drops it.
"""

# fmt: off
# (Word lists read better in filled lines than one word a line.)

# Words that every topic may use.
COMMON = {
    "when": "今天 現在 接下來 上個禮拜 下一堂課 最後 等一下 這個學期 剛剛 之前".split()
    + ["今天早上", "休息之後", "今年"],
    "so": ["所以", "那麼", "其實", "也就是說", "基本上", "換句話說", "簡單來說", "basically", "actually", "so", "ok"],
    "talk": "介紹 說明 討論 複習 分析 比較 整理 解釋 示範 推導".split(),
    "aspect": "定義 應用 限制 優點 缺點 原理 特性 歷史 流程 背景 重點 條件 效果 意義 performance definition "
    "structure background assumption limitation".split()
    + ["實際用途", "基本概念", "常見的錯誤", "main idea", "best practice"],
    "very": "非常 特別 相當 比較 有點 越來越 滿 蠻 真的很 其實很".split() + ["不太", "沒有那麼"],
    "adj": "複雜 簡單 重要 穩定 準確 有用 困難 清楚 明顯 昂貴 有趣 快 慢 可靠 普遍 敏感 robust efficient "
    "flexible tricky".split(),
    "size": "大 小 多 少 高 低 長 強 弱 複雜".split(),
    "people": "很多人 我們 大家 他們 同學 科學家 工程師 研究人員 學者 有些公司 你們 這個領域的人 researchers".split(),
    "do": "估計 計算 解決 改善 表示 處理 比較 檢查 測量 控制 預測 觀察 模擬 取代 estimate describe".split(),
    "then": "然後 接著 最後 下一步 再來 之後".split(),
    "relation": "關係 差別 影響 關聯 共同點 衝突".split(),
    "number": "兩 三 四 五 六 七 八 九 十 十二 十五 二十".split(),
    "big": "一百 兩百 五百 一千 三千 一萬 五萬 十萬 一百萬".split(),
    "percent": "百分之五 百分之十 百分之二十 百分之三十五 百分之五十 百分之八十 百分之九十九".split(),
    "year": "一九五三年 一九七零年 一九九八年 兩千零八年 二零一五年 二零二三年 去年 十年前 上個世紀".split(),
    "day": "星期一 星期二 星期三 星期四 星期五 下禮拜二 下禮拜四 明天 後天 月底 開學那天".split(),
    "clock": "早上八點 早上九點半 上午十點 中午十二點 下午兩點 下午三點半 晚上七點 晚上十一點五十九分".split(),
    "filler": ["嗯", "呃", "那個", "就是說", "對", "你知道", "well", "you know", "i mean"],
    "e": ["{en}"],
    "z": ["{zh}", "{zh}", "{en}"],
    "very_en": "very really quite too so not always rarely".split(),
    "adj_en": "important simple complex useful stable large small expensive slow different reliable common".split(),
    "number_en": "two three four five ten twenty fifty".split() + ["a hundred", "a thousand", "two million"],
    "day_en": "monday tuesday wednesday thursday friday".split() + ["next week", "the end of the month"],
}

# Sentences about any technical term.
TECHNICAL = [
    "{when}我們要{talk} {e} ，還有 {e} 的{aspect}",
    "{when}我想先花{number}分鐘{talk}一下{z}的{aspect}",
    "{so}這個 {e} 的{aspect}{very}{adj}，大家要特別注意",
    "你要先 {v} 這個 {e} ，{then}再去看它的 {e} 合不合理",
    "如果 {e} 太{size}， {e} 就會變得{very}{adj}",
    "請大家想一下，這個{z}跟 {e} 到底有什麼{relation}",
    "{people}把這個現象叫做 {e} ，中文通常翻成{zh}",
    "{people}常常用 {e} 來{do}{z}，可是結果不一定可靠",
    "為什麼{z}會影響 {e} 呢，我們看下一張投影片",
    "假設{z}是已知的，那我們就可以 {v} 這個 {e}",
    "這個方法的好處是 {e} {very}{adj}，壞處是你要 {v} 很多 {e}",
    "{year}有一篇 paper 發現{z}跟 {e} 其實沒有直接的{relation}",
    "我們沒有辦法直接 {v} 這個 {e} ，所以只能{do}它的{aspect}",
    "做實驗之前不要忘記 {v} 你的 {e} ，不然結果會差很多",
    "有沒有同學想要問 {e} 或者{zh}的問題",
    "這一頁 slide 上面的圖表示 {e} 隨著時間的變化",
    "{z}的{aspect}{very}{adj}，考試一定會考，大家回去要多練習",
    "從{z}到{z}大概需要{number}個步驟，每一步都要 {v} 一次",
    "第{number}個方法叫做 {e} ，它跟剛剛講的 {e} {very}像",
    "所謂的 {e} ，就是把{z}變成 {e} 的過程",
    "{e} 這個詞聽起來{very}{adj}，意思其實跟{z}差不多",
    "在{z}裡面， {e} 扮演{very}關鍵的角色",
    "當{z}增加的時候， {e} 也會跟著改變，大概是{percent}",
    "右邊這張圖是 {e} ，左邊是 {e} ，你們看得出來差別嗎",
    "這裡的{z}指的不是 {e} ，而是 {e}",
    "每一個{z}都對應到一個 {e} ，所以總共有{big}個",
    "{filler}，你可以把{z}想成是一種{very}{adj}的 {e}",
    "給定一個 {e} ，我們希望找到最好的{z}",
    "目前的結果顯示 {e} 比 {e} 好了{percent}左右",
    "以上就是{z}的{aspect}，有沒有人對 {e} 有問題",
    "for example 我們可以用 {e} 來 {v} 一個 {e}",
    "那 the problem is 我們根本不知道 {e} 有多{size}",
    "in this case 我們需要重新{do}{z}，{then}再 {v} 一次",
    "the {e} is {very_en} {adj_en} ，所以我們換一個{z}試試看",
    "我個人的經驗是，先把 {e} 做好，{then}再談{zh}",
    "{big}個樣本聽起來很多，但是對{z}來說還是不夠",
    "{filler}，這個部分{very}{adj}，我們用一個例子來看",
    "{year}以前，大家都以為{z}是固定的，直到有人去 {v} 它",
    "如果你的 {e} 出了問題，第一件事就是 {v} 一下 {e}",
    "我們在 lab 裡面做過一個測試，{z}的誤差不到{percent}",
    "這跟{z}是兩回事，很多同學會把 {e} 跟 {e} 搞混",
    "老實說，{z}到現在還是一個 open question",
    "你們回家可以試著自己 {v} 一個 {e} ，下次上課我們再討論",
    "{so}關鍵在於{z}，而不是 {e} 本身",
    "只要 {e} 夠{size}，{z}就不是問題",
    "課本第{number}章有{talk}{z}，不過寫得{very}{adj}",
    "我再重複一次，{z}一定要在 {e} 之前完成",
    "這個公式告訴我們， {e} 等於 {e} 乘以{number}",
    "一般來說{z}大約是{big}，但是不同的 {e} 會有不同的結果",
    "嚴格來講，{zh}並不是 {e} 的一部分",
]

# Whole sentences in English.
ENGLISH = [
    "let us look at the {e} of this {e}",
    "the {e} is not the same as the {e}",
    "what is the difference between the {e} and the {e}",
    "in this case the {e} will be {very_en} {adj_en}",
    "we need to {v} the {e} again and again until it works",
    "how can we {v} a {adj_en} {e}",
    "this is the most {adj_en} part of the {e}",
    "you can {v} the {e} with a {adj_en} {e}",
    "if you have a question about the {e} please raise your hand",
    "the next step is to {v} the {e} before we move on",
    "it turns out that the {e} is {very_en} {adj_en}",
    "there are {number_en} ways to {v} the {e}",
    "as you can see on this slide the {e} has changed a lot",
    "i would say that the {e} is more {adj_en} than the {e}",
    "remember that every {e} depends on the {e}",
    "nobody really knows why the {e} is so {adj_en}",
    "so the question is how to {v} the {e} without the {e}",
    "about {number_en} years ago people believed that the {e} was {adj_en}",
    "that is exactly what we mean by a {e}",
    "we will come back to the {e} after the break",
    "please do not confuse the {e} with the {e}",
    "the short answer is that you should never {v} the {e}",
]

# What a speaker says around a sentence; fitting any of them.
OPENINGS = [
    "所以", "然後", "那", "好", "我覺得", "大家都知道", "對", "嗯", "呃", "ok", "so", "now", "well", "remember",
    "i think", "我再說一次", "其實", "那個", "坦白說", "as i said", "by the way", "總之", "不過", "all right",
]
CLOSINGS = [
    "對不對", "好不好", "是不是", "ok", "right", "you know", "大家想想看", "this is important", "這個很重要",
    "any questions", "以此類推", "就是這樣", "make sense", "and so on",
]

# Topics of the lectures.
LECTURES = {
    "learning": {
        "en": [
            "model", "training data", "test set", "loss function", "gradient descent", "learning rate",
            "neural network", "hidden layer", "attention mechanism", "transformer", "encoder", "decoder", "embedding",
            "batch size", "regularization", "dropout", "classifier", "language model", "fine tuning", "reward",
            "overfitting", "benchmark", "hallucination", "speech recognition", "knowledge distillation", "baseline",
            "hyperparameter", "validation set", "feature extraction", "checkpoint",
        ],
        "zh": [
            "神經網路", "機器學習", "損失函數", "訓練資料", "參數",
            "特徵", "語音辨識", "注意力機制", "學習率", "錯誤率",
            "權重", "分類問題", "過度擬合", "強化學習", "向量", "人工智慧", "大型語言模型", "知識蒸餾",
        ],
        "v": "train update evaluate predict compress initialize optimize label deploy debug visualize".split(),
        "own": [
            "老師模型教學生模型怎麼回答，這個過程就叫做 {e}",
            "訓練了{number}個 epoch 以後， loss 還是沒有下降",
            "這個模型有{big}個參數，一張顯示卡根本放不下",
            "如果 teacher 說錯了， student 也會跟著錯",
            "我們把百分之八十的資料拿來訓練，剩下的當作 validation set",
            "機器到底有沒有意識，這個問題沒有標準答案",
            "the model 只是記住了訓練資料，並沒有真的學會",
            "你的 accuracy 很高，不代表你的 model 真的有用",
            "這個 dataset 裡面有{percent}的標註是錯的",
            "聲音訊號先轉成頻譜，再送進 {e} 裡面",
        ],
    },
    "biology": {
        "en": [
            "protein", "cell membrane", "enzyme", "mutation", "gene expression", "immune system", "virus", "vaccine",
            "antibody", "chromosome", "natural selection", "metabolism", "stem cell", "bacteria", "hormone",
            "nervous system", "ecosystem", "photosynthesis", "receptor", "evolution", "cancer cell", "blood pressure",
            "control group", "side effect",
        ],
        "zh": [
            "蛋白質", "細胞膜", "基因", "突變", "免疫系統", "病毒",
            "疫苗", "染色體", "天擇", "新陳代謝", "幹細胞", "細菌",
            "荷爾蒙", "神經系統", "生態系", "光合作用", "抗體", "血壓",
        ],
        "v": "isolate measure block activate inject sequence observe culture replicate transport".split(),
        "own": [
            "人體大約有三十七兆個細胞，每天都有很多在更新",
            "粒線體是細胞的發電廠，這個比喻大家從國中就聽過",
            "{year}科學家第一次看到 {e} 的立體結構",
            "打了疫苗以後，身體會產生{zh}來對抗 {e}",
            "植物白天進行光合作用，晚上只剩下呼吸作用",
            "這隻老鼠少了一個 gene ，所以牠完全不怕貓",
            "如果 {e} 不見了，整個食物鏈都會受到影響",
            "藥物要通過 clinical trial 才能上市，平均需要{number}年",
            "抗生素只能對付細菌，對病毒一點用都沒有",
            "it takes about {number_en} days for the {e} to grow",
        ],
    },
    "economics": {
        "en": [
            "inflation", "interest rate", "supply and demand", "market", "opportunity cost", "trade deficit",
            "stock market", "central bank", "monopoly", "marginal cost", "exchange rate", "budget", "tax",
            "unemployment rate", "consumer", "game theory", "externality", "public goods", "investment", "recession",
            "profit", "incentive", "price elasticity", "minimum wage",
        ],
        "zh": [
            "通貨膨脹", "利率", "供給和需求", "市場", "機會成本",
            "貿易逆差", "股票", "中央銀行", "邊際成本", "匯率", "預算",
            "稅收", "失業率", "消費者", "賽局理論", "公共財", "投資報酬率", "最低工資",
        ],
        "v": "raise reduce regulate trade invest borrow predict stabilize subsidize maximize".split(),
        "own": [
            "{year}金融海嘯的時候，很多銀行一夜之間倒閉",
            "如果物價上漲{percent}，你的薪水沒有漲，等於變窮了",
            "天下沒有白吃的午餐，這就是 {e} 的概念",
            "央行把{zh}調高一碼，房貸族就要多付利息",
            "為什麼鑽石比水還貴，這個問題困擾了經濟學家很久",
            "賣得越多，每一件商品的成本就越低，這叫 economies of scale",
            "人不一定是理性的，尤其是在買股票的時候",
            "台灣的半導體出口佔了總額的{percent}",
            "便利商店賣的咖啡為什麼可以這麼便宜",
            "the government can {v} the {e} but it takes time",
        ],
    },
    "physics": {
        "en": [
            "momentum", "gravity", "electric field", "magnetic field", "kinetic energy", "black hole", "wavelength",
            "quantum mechanics", "entropy", "temperature", "pressure", "friction", "circuit", "voltage", "resistance",
            "semiconductor", "laser", "photon", "relativity", "angular velocity", "potential energy", "heat transfer",
            "uncertainty principle", "standing wave",
        ],
        "zh": [
            "動量", "重力", "電場", "磁場", "動能", "黑洞", "波長",
            "量子力學", "溫度", "壓力", "摩擦力", "電路", "電壓", "電阻",
            "半導體", "雷射", "相對論", "熱力學第二定律",
        ],
        "v": "accelerate measure reflect absorb emit cool heat charge rotate detect".split(),
        "own": [
            "光的速度是每秒三十萬公里，沒有東西可以比它快",
            "蘋果為什麼會掉下來，月亮為什麼不會",
            "把電壓加倍，電流也會加倍，這就是歐姆定律",
            "一杯熱咖啡放在桌上，過{number}分鐘就涼了，不會自己變熱",
            "救護車靠近的時候聲音比較高，遠離的時候比較低",
            "{year}人類第一次拍到 {e} 的照片",
            "這個實驗不能在教室做，因為 {e} 太危險了",
            "溫度降到零下兩百七十三度，原子幾乎就不動了",
            "you cannot {v} the {e} and the {e} at the same time",
            "兩個波疊在一起，有的地方變強，有的地方互相抵消",
        ],
    },
    "software": {
        "en": [
            "function", "variable", "pointer", "linked list", "binary tree", "hash table", "recursion", "database",
            "operating system", "memory leak", "compiler", "cache", "thread", "deadlock", "network protocol", "server",
            "open source", "unit test", "version control",
            "cloud computing", "firewall", "encryption", "time complexity",
            "dynamic programming", "user interface", "deadline",
        ],
        "zh": [
            "函式", "變數", "指標", "演算法", "資料庫", "作業系統",
            "記憶體", "編譯器", "快取", "執行緒", "網路協定", "伺服器",
            "開放原始碼", "單元測試", "版本控制", "雲端運算", "防火牆", "使用者介面",
        ],
        "v": "compile debug deploy delete sort refactor encrypt install upload restart".split(),
        "own": [
            "這段 code 在我的電腦上跑得好好的，一上線就壞了",
            "先不要急著寫程式，把需求想清楚比較重要",
            "你的密碼千萬不要寫在程式裡面，更不要 push 到網路上",
            "如果陣列已經排好了，用 binary search 只要{number}次就找得到",
            "資工系的學生每天睡不到{number}個小時",
            "變數的名字要取得清楚，不要叫做 a 或者 b",
            "一個 bug 藏了{number}年，昨天才被一個實習生發現",
            "程式跑得慢，多半是因為 {e} 沒有設計好",
            "兩個 thread 互相等待，誰也動不了，這就是 deadlock",
            "always {v} your {e} before you go home",
        ],
    },
    "statistics": {
        "en": [
            "probability", "random variable", "normal distribution", "variance", "standard deviation", "sample size",
            "confidence interval", "hypothesis testing", "correlation", "regression", "outlier", "matrix", "eigenvalue",
            "derivative", "integral", "linear algebra", "expected value", "conditional probability", "theorem", "proof",
            "upper bound", "vector space", "optimization problem", "survey",
        ],
        "zh": [
            "機率", "隨機變數", "常態分布", "變異數", "標準差",
            "樣本數", "信賴區間", "假設檢定", "相關係數", "迴歸分析", "極端值",
            "矩陣", "特徵值", "微分", "積分", "線性代數", "期望值", "中央極限定理",
        ],
        "v": "compute prove minimize estimate sample normalize differentiate reject integrate plot".split(),
        "own": [
            "丟一枚硬幣{big}次，正面大概會出現一半",
            "相關不代表因果，這句話請大家寫下來",
            "冰淇淋賣得越好，溺水的人越多，難道是冰淇淋的錯嗎",
            "平均薪水看起來很高，其實中位數低很多",
            "這份問卷只問了{number}個人，根本沒有代表性",
            "如果 p value 小於{percent}，我們就拒絕虛無假設",
            "班上有{number}個人，兩個人同一天生日的機率是多少",
            "證明的第一步是假設結論不成立，{then}推出矛盾",
            "一個 matrix 乘上它的 inverse 等於 identity matrix",
            "the {e} does not tell you anything about the {e}",
        ],
    },
}

# What lecturers say between sentences on their topic.
NOTICES = {
    "campus": {
        "en": [
            "homework", "final project", "midterm", "quiz", "email", "office hour", "presentation", "report", "website",
            "grade", "schedule", "teaching assistant", "group", "workshop", "internship", "syllabus", "reading list",
        ],
        "zh": [
            "作業", "期末報告", "期中考", "小考", "教室", "圖書館", "助教", "成績", "課程網站", "實驗課",
            "講義", "分組名單",
        ],
        "v": "submit upload download check review finish send present print register".split(),
        "own": [
            "{en} 的 deadline 是{day}{clock}，遲交一天扣{number}分",
            "{day}{clock}在{number}零一教室有{zh}，請大家準時",
            "如果你沒有收到 {en} ，請寫信給助教",
            "請大家記得 {v} 你的 {en} ，不要等到最後一天",
            "作業一共有{number}份，最低的那一份不算分",
            "後面的同學聽得到嗎，聽不到的話可以坐前面一點",
            "麥克風好像沒有聲音，我們等一下助教",
            "我們先休息{number}分鐘，{clock}繼續",
            "{day}放假不用上課，我們下下禮拜再見",
            "please {v} your {en} before {day_en}",
            "the {en} counts for thirty percent of your {en}",
            "不好意思，投影機又當機了，我重開一下",
            "期末考可以帶一張小抄，但是只能用手寫的",
            "想要加簽的同學，下課之後到前面來找我",
            "thank you very much and see you {day_en}",
            "這一題去年考過，大概有{percent}的人寫錯",
        ],
    },
}

# Topics of test_out: what no lecture speaks of.
ELSEWHERE = {
    "kitchen": {
        "en": [
            "olive oil", "oven", "recipe", "steak", "salad", "butter", "soup", "coffee", "dessert", "menu",
            "chef", "brunch",
        ],
        "zh": ["牛肉麵", "青菜", "豆腐", "雞湯", "蛋糕", "冰箱", "醬油", "水餃", "早餐", "餐廳"],
        "v": "cook bake order taste mix slice".split(),
        "own": [
            "先把{zh}放進 {en} 裡面，{number}分鐘以後再拿出來",
            "這家店的 {en} 非常有名，要排隊{number}個小時",
            "我想 {v} 一份 {en} ，不要太鹹",
            "媽媽做的{zh}比外面賣的好吃多了",
            "請問你們的 {en} 有沒有素食的選擇",
            "{clock}以後就沒有{zh}了，要吃要趁早",
            "we should {v} the {en} before the guests arrive",
            "把 {en} 加熱到一百八十度，然後放{zh}",
        ],
    },
    "travel": {
        "en": [
            "hotel", "passport", "airport", "luggage", "ticket", "taxi", "beach", "reservation", "flight",
            "visa", "souvenir",
        ],
        "zh": ["飛機", "高鐵", "夜市", "海邊", "博物館", "行李", "火車站", "颱風", "地圖", "民宿"],
        "v": "book cancel visit change check rent".split(),
        "own": [
            "我們{day}{clock}的 {en} 因為颱風取消了",
            "到了 {en} 以後，記得先去 {v} 你的 {en}",
            "請問從{zh}到 {en} 大概要多久，走路會到嗎",
            "這個城市的{zh}很特別，每年有{big}個觀光客",
            "我的{zh}不見了，能不能幫我 {v} 一下",
            "晚上去{zh}逛一逛，順便買一點 {en}",
            "how much does it cost to {v} a {en} downtown",
            "住{number}個晚上比較划算，還送一張 {en}",
        ],
    },
    "health": {
        "en": [
            "doctor", "appointment", "insurance", "yoga", "exercise", "headache", "allergy", "gym", "dentist",
            "checkup",
        ],
        "zh": ["感冒", "醫院", "睡眠", "體重", "視力", "牙齒", "健保卡", "藥局", "心情", "膝蓋"],
        "v": "check cancel book skip start avoid".split(),
        "own": [
            "醫生說我的{zh}不太好，建議我每天做 {en}",
            "這種藥一天吃{number}次，飯後再吃",
            "我想 {v} 一個 {en} ，{day}{clock}可以嗎",
            "最近{zh}很差，可能是壓力太大了",
            "去{zh}之前，先打電話問一下 {en}",
            "you should not {v} your {en} this week",
            "他跑步跑到{zh}受傷，休息了{number}個月",
            "多喝水，多休息，少滑手機",
        ],
    },
}
