"""The words of mini_cs: what its speakers talk about, as sentence templates and the words that fill them.

A template is a sentence with {slots}; a slot is filled with one of its words, which may hold slots again.
Latin letters are English and are spoken by the English voice; everything else is Mandarin. "，" is a pause:
spoken, but never written into a transcript.

Many templates hold one of several words that sound alike (公式 攻势 公事, 权力 权利, 机器 极其 …): only the
sentence around it decides which one is meant, as in real speech.
"""

# fmt: off
# (Word lists read better in filled lines than one word a line.)

# Words that every topic may use.
COMMON = {
    "when": "今天 现在 接下来 上一次 下个星期 最后 等一下 这个学期 today now".split(),
    "so": ["所以", "那么", "其实", "也就是说", "ok", "事实上", "basically", "actually", "so"],
    "talk": "说明 复习 看一下 学习 研究 证明 review discuss".split(),
    "aspect": "定义 应用 结果 限制 概念 优点 例子 公式 条件 意义 performance result definition problem "
    "structure".split()
    + ["计算方法", "best case", "worst case", "main idea"],
    "very": "非常 特别 比较 有点 相当 极其 更加 really quite".split() + ["不太", "没有那么"],
    "adj": "复杂 简单 重要 稳定 准确 有用 困难 清楚 明显 smooth complex simple stable useful".split()
    + ["fast", "slow", "tricky"],
    "size": "大 小 多 高 低 长 强 large small".split(),
    "people": "很多人 我们 大家 他们 同学 科学家 工程师 老师 engineers researchers students".split(),
    "do": "估计 计算 解决 改进 表示 处理 比较 检查 测量 控制 estimate analyze describe".split(),
    "then": "然后 接着 最后 下一步 then".split(),
    "relation": "关系 不同 影响 联系 difference relation".split(),
    "look": "看 想想 记住 注意 比较".split(),
    "day": "星期一 星期二 星期三 星期四 星期五 明天 后天 monday tuesday wednesday thursday friday".split(),
    "clock": "早上八点 早上九点半 上午十点 中午 下午两点 下午三点半 晚上七点 晚上六点半".split()
    + ["下课以后"],
    "very_en": "very really quite too so not".split(),
    "adj_en": "important simple complex useful stable large small fast slow good new different".split(),
    "e": ["{en}"],
    "z": ["{zh}", "{en}"],  # speakers keep many terms in English
    "day_en": "monday tuesday wednesday thursday friday".split(),
    "number": "一 两 三 四 五 六 七 八 九 十".split(),
}

# Sentences about any technical term: {e} is a term of the topic in English, {z} one in either language,
# {v} an English verb.
TECHNICAL = [
    "{when}我们要{talk} {e} ，还有 {e} 的{aspect}",
    "{when}我们{talk}{z}的{aspect}",
    "{so}这个 {e} 的{aspect} {very}{adj}",
    "你要先 {v} 这个 {e} ，{then}再 {v} 它的 {e}",
    "如果 {e} 太{size}， {e} 就会变得{very}{adj}",
    "please {look}这个{z}，它跟 {e} 有什么{relation}",
    "{so}我们把 {e} 叫做{z}",
    "{people}常常用 {e} 来{do}{z}",
    "为什么{z}会影响 {e} 呢",
    "假设{z}是已知的，那我们就可以 {v} 这个 {e}",
    "这个方法的好处是 {e} {very}{adj}，坏处是要 {v} 很多 {e}",
    "{people}发现{z}跟{z}其实{very}接近",
    "我们没有办法直接 {v} 这个 {e} ，所以只能{do}它的{aspect}",
    "不要忘记 {v} 你的 {e}",
    "有没有同学想要问 {e} 的问题",
    "这一页 slides 说明了 {e} 的{aspect}",
    "{z}的{aspect}{very}{adj}，大家要多练习",
    "从{z}到{z}需要{number}个步骤",
    "第{number}个方法是 {e} ，第{number}个是 {e}",
    "we {v} the {e} and 得到一个新的 {e}",
    "所谓的 {e} 就是把{z}变成 {e}",
    "{e} 这个词的意思跟{z}差不多",
    "同时我们也要{do} {e} 的数目",
    "这是一个近似的{z}，实际的 {e} 会更{size}",
    "在{z}里面， {e} 扮演{very}重要的角色",
    "{so}当{z}增加的时候， {e} 也会跟着 {v}",
    "{people}认为{z}和 {e} 必须一起{do}",
    "右边这张图是 {e} ，左边是 {e}",
    "so 这里的{z}不是 {e} 而是 {e}",
    "这个公式告诉我们 {e} 等于 {e} 加上 {e}",
    "每一个{z}都对应到一个 {e}",
    "上个世纪的{people}还没有 {e} 这个概念",
    "你可以把{z}想成是一种{very}{adj}的 {e}",
    "给定一个 {e} ，我们希望{do}最好的{z}",
    "目前的结果显示 {e} 比 {e} {adj}",
    "以上就是{z}的{aspect} ，any question about the {e}",
    "the {e} and the {e} 都是{very}{adj}的{z}",
    "for example 我们可以用 {e} 来 {v} 一个 {e}",
    "at the end of the class 我们会 {v} 一个 {adj_en} {e}",
    "in this case 我们需要{do}{z}的 {e}",
    "the {e} is {very_en} {adj_en} 所以我们换一个{z}",
]

# Whole sentences in English; {very_en} and {adj_en} and {v} fill them.
ENGLISH = [
    "let us look at the {e} of this {e}",
    "the {e} is not the same as the {e}",
    "what is the difference between the {e} and the {e}",
    "in this case the {e} will be {very_en} {adj_en}",
    "we need to {v} the {e} again",
    "how can we {v} a {adj_en} {e}",
    "this is the most {adj_en} part of the {e}",
    "you can {v} the {e} with a {adj_en} {e}",
    "if you have a question about the {e} please ask me",
    "the next step is to {v} the {e}",
]

# What a speaker says around a sentence; fitting any of them.
OPENINGS = [
    "所以", "然后", "那", "好", "我觉得", "大家都知道", "对", "ok", "so", "now", "yes", "well", "remember",
    "i think", "我再说一次", "今天", "其实",
]
CLOSINGS = ["对不对", "好不好", "是不是", "ok", "right", "you know", "大家想想看", "this is important"]

# Topics of university lectures: "en" and "zh" terms, "v" verbs, "own" sentences only this topic has,
# "new_en"/"new_zh" terms that only the lectures and in-domain tests use (made of characters the seed has).
LECTURES = {
    "learning": {
        "en": [
            "model", "data", "training data", "training set", "test set", "loss function", "gradient",
            "label", "gradient descent", "learning rate", "neural network", "hidden layer", "attention",
            "transformer", "encoder", "decoder", "embedding", "token", "batch size", "regularization",
            "dropout", "accuracy", "feature", "classifier", "regression", "teacher model", "student model",
            "fine tuning", "pre training", "language model", "speech recognition", "agent", "reward",
            "policy", "parameter", "weight", "prediction", "overfitting", "training loss", "self attention",
            "network", "knowledge",
        ],
        "zh": [
            "神经网络", "机器学习", "梯度", "参数", "函数", "训练资料", "模型", "知识", "特征", "语音识别",
            "语言模型", "注意力", "向量", "学习率", "错误率", "正确率", "数据", "权重", "分类问题", "原型",
        ],
        "v": "train update evaluate predict sample compress initialize optimize download label".split(),
        "own": [
            "机器学习的目的是从数据里面找到{zh}",
            "这个问题极其困难，机器也不一定会回答",
            "训练的时候必须把 {e} 调小一点",
            "我们举一个具体的事例来说明{zh}",
            "机器有没有意识，没有人知道答案",
            "the model 学到的只是训练资料的特征",
            "人的记忆有限，但是 {e} 可以很大",
            "老师模型教学生模型怎么 {v} 这个 {e}",
            "这种技艺要花很多精力才能学会",
            "如果 teacher model 说错了， student model 也会跟着错",
            "这一类方法都叫做{z}",
        ],
        "new_en": [
            "diffusion", "quantization", "benchmark", "prompt", "pipeline", "latency", "hallucination",
            "checkpoint", "adapter", "backbone",
        ],
        "new_zh": [
            "对比学习", "知识图", "多语言模型", "自动学习", "特征变换", "数据清理", "比对模型", "大语言模型",
        ],
    },
    "signals": {
        "en": [
            "signal", "filter", "low pass filter", "frequency", "spectrum", "sampling rate", "noise",
            "channel", "bandwidth", "convolution", "impulse response", "fourier transform", "phase",
            "amplitude", "window", "time domain", "frequency domain", "microphone", "audio", "energy",
            "delay", "feedback", "system", "input", "output", "speech signal", "background noise",
            "digital signal", "power", "carrier",
        ],
        "zh": [
            "信号", "频率", "噪音", "声音", "能量", "时间", "系统", "输入", "输出", "卷积", "波长", "电压",
            "采样", "语音信号", "速度", "功率",
        ],
        "v": "filter sample measure amplify record transmit compress normalize shift reduce".split(),
        "own": [
            "声音是空气的运动，我们可以听到",
            "噪音越强， signal 就越不清楚",
            "把电源打开以前，必须检查电压",
            "圆形的天线可以收到每个方向的信号",
            "time domain 的 convolution 等于 frequency domain 的相乘",
            "人的视力和听力都是一种 sensor",
            "这个机器的声音极其大，请小心一点",
            "我们用 microphone 收到{z}，然后放到 computer 里面",
        ],
        "new_en": [
            "wavelet", "entropy", "beamforming", "echo", "codec", "antenna array", "jitter", "cepstrum",
        ],
        "new_zh": ["采样定理", "语音变换", "信号处理", "声波", "频率影响", "相关系数", "长时能量", "方向图"],
    },
    "maths": {
        "en": [
            "matrix", "vector", "eigenvalue", "inverse", "determinant", "linear algebra", "probability",
            "random variable", "distribution", "expectation", "variance", "theorem", "proof", "function",
            "derivative", "integral", "limit", "equation", "vector space", "dimension", "basis", "projection",
            "optimization", "convex function", "linear system", "sequence", "upper bound", "lower bound",
            "norm", "conditional probability",
        ],
        "zh": [
            "向量", "线性代数", "概率", "变数", "分布", "期望值", "方差", "定理", "证明", "函数", "微分",
            "积分", "极限", "方程", "空间", "最大值", "最小值", "直线", "圆形", "平面", "长度", "面积",
            "变换",
        ],
        "v": "compute prove minimize maximize differentiate invert solve expand multiply define".split(),
        "own": [
            "请大家记住这个公式，考试会考",
            "这个解只是近似的，不是真正的答案",
            "圆形的面积跟长度的平方成正比",
            "数理统计是研究数据的科学",
            "一个 matrix 乘上它的 inverse 等于 identity",
            "这个 tree 有很多点，但是数目一定是有限的",
            "其中有一个变数是 random ，最后一个不是",
            "上个世纪的数学家就知道这个定理",
            "证明的第一步必须用到{zh}",
            "这个题目的难度极其高，不用花太多精力",
            "如果 determinant 等于 zero 就没有 inverse",
            "变换以后的图形还是一条直线",
        ],
        "new_en": ["gaussian", "bayesian", "scalar", "tensor", "orthogonal", "manifold", "kernel", "lemma"],
        "new_zh": [
            "条件概率", "联系分布", "线性变换", "线性方程", "特征值", "平方差", "大数定理", "正定函数",
        ],
    },
    "campus": {
        "en": [
            "homework", "deadline", "project", "final project", "final exam", "midterm", "quiz", "lab",
            "email", "office hour", "slides", "video", "group", "presentation", "paper", "report", "website",
            "code", "python", "server", "library", "course", "class", "grade", "score", "schedule", "meeting",
            "teaching assistant", "team", "file", "account", "password",
        ],
        "zh": [
            "作业", "报告", "期中考", "期末考", "课程", "实验", "教室", "图书馆", "老师", "助教", "同学",
            "题目", "程式", "网站", "考试", "问题", "答案", "电脑", "学分",
        ],
        "v": "submit upload download check review finish send schedule present grade print".split(),
        "own": [
            "{en} 的 deadline 是{day}{clock}",
            "{day}{clock}在{number}号教室有{zh}",
            "每一个学生都有申请 {en} 的权利",
            "助教没有权力改变你的 grade",
            "生活必需品可以在学校门口买到",
            "你必须在{day}以前 {v} 你的 {en}",
            "期中考的形式跟 {en} 差不多",
            "{clock}以后请不要打电话给老师",
            "老师出国处理公事，{day}的课停一次",
            "请跟你的 team 联系，约一个时间练习 presentation",
            "教师节那天图书馆不开门",
            "如果你没有 {en} ，请写 email 给助教",
            "请大家记得 {v} 这个{zh}，不要等到最后",
            "这门课没有课本，所有的 {en} 都在 website 上面",
            "作业一共有{number}个，最低的分数不算",
            "昨夜我写 code 写到三点，现在没有精力了",
            "please {v} your {en} before {day_en}",
            "the {en} is on {day_en} 大家不要迟到",
            "thank you and see you next week",
        ],
        "new_en": [
            "workshop", "scholarship", "syllabus", "internship", "seminar", "feedback form", "notebook",
        ],
        "new_zh": ["学期报告", "研究所", "学费", "研究生", "考试时间", "网络教室", "学分网"],
    },
}

# Everyday announcements: a topic of the seed, and what lecturers say in between. With the lectures' own topics it
# carries the characters of test_out.
NOTICES = {
    "daily": {
        "en": [
            "bus", "taxi", "food", "lunch", "dinner", "music", "movie", "phone", "camera", "money", "game",
            "party", "shop", "news", "doctor", "train", "team", "map", "coffee", "friend", "room", "hotel",
        ],
        "zh": [
            "天气", "公园", "车站", "医院", "电影", "音乐", "晚饭", "水果", "衣服", "手机", "飞机", "火车",
            "足球", "比赛", "身体", "孩子", "家人", "海边",
        ],
        "v": "buy watch book find call visit cook drink play order".split(),
        "own": [
            "明天{clock}会下雨，出门请带衣服",
            "{day}的{zh}因为天气不好取消了",
            "从{zh}到公园走路{number}分钟就到",
            "我想去 {v} 一杯 {en} ，你要一起来吗",
            "医生说我的视力不好，近视又变差了",
            "国家的权力来自所有的人，每个人都有 vote 的权利",
            "红队{clock}发起攻势，连进{number}个球",
            "小时候的回忆跟{day}的会议没有关系",
            "我的同事住在城市的南边，每天坐 {en} 上班",
            "山上的树木现在变成红色，数目很多",
            "{zh}的门口有免费的{zh}和{zh}",
            "火车{clock}开，请不要在车站里面跑",
            "这家店的面和饭很好吃，而且很便宜",
            "吃药以前要先喝一点热水，睡觉以前再吃一次",
            "{zh}因为大风晚了{number}个小时",
            "爸爸妈妈{day}要来看我和孩子",
            "他感冒了，头很痛，需要休息{number}天",
            "请问{zh}在什么地方，是南边还是北边",
            "她喜欢唱歌和跳舞，也喜欢 {en}",
            "北边很冷，南边又很热，{zh}都不一样",
            "我用 {en} 给妹妹买了一件红色的衣服",
            "{so}今天的 {en} 比昨天的{adj}",
            "不要把 {en} 放在{zh}旁边",
            "{people}{day}要去{zh}，需要 {v} 一个 {en}",
            "{day}我们去 {v} 这个 {en} ，{then}再去 {v} 那个 {en}",
            "你可以帮我 {v} 那个 {en} 吗，我{clock}要用",
            "please {v} the {en} for my friend",
            "where can i {v} some {en} in the city",
            "我喜欢吃鱼肉和青菜，不喜欢 {en}",
            "他受伤以后喜欢跑步，身体很健康，心情也好了",
            "花了{number}百块买票，一点都不贵",
            "请先付钱再拿{zh}，这里不收旧的票",
            "客人已经到了，快去看看 {en} 够不够",
            "这个 {en} 多少钱，能不能便宜一点",
            "外面的势力很强，形势不好，大家要小心",
            "{day}的比赛我们赢了{number}个球",
            "您好，请给我{number}份 {en} 吧",
        ],
    },
}

# Topics of test_out: everyday scenes no lecture speaks of; Mandarin characters of the seed, some new
# English words.
ELSEWHERE = {
    "clinic": {
        "en": [
            "doctor", "medicine", "hospital", "appointment", "nurse", "cold", "phone", "exercise",
            "blood test", "report", "checkup",
        ],
        "zh": ["医院", "药", "身体", "感冒", "视力", "健康", "头痛", "心情", "手", "睡觉"],
        "v": "check call visit take book find".split(),
        "own": [
            "医生{clock}才来，请您先坐在旁边等",
            "我的{zh}不太好，想 {v} 一个 {en}",
            "这种药一天吃{number}次，饭后再吃",
            "你的 {en} 已经出来了，{zh}没有问题",
            "{day}的 {en} 可以改到{day}吗",
            "他近视很重，看不清楚前面的人",
            "小孩子感冒的时候要多喝水多休息",
            "请把 {en} 放好，不要给孩子拿到",
            "多做 {en} 对{zh}很有帮助",
            "please {v} the {en} before you go home",
        ],
    },
    "travel": {
        "en": [
            "hotel", "ticket", "airport", "passport", "train", "bus", "taxi", "map", "camera", "luggage",
            "beach", "room",
        ],
        "zh": ["飞机", "火车", "车站", "海边", "公园", "山上", "票", "路", "城市", "南边"],
        "v": "book find change visit take buy".split(),
        "own": [
            "我们{day}{clock}坐 {en} 去{zh}",
            "到了 {en} 以后，先去 {v} 一张 {en}",
            "请问从 {en} 到{zh}要多少钱",
            "这个城市的{zh}非常特别，大家都去看",
            "外面风很大，{zh}今天不开",
            "我的 {en} 没有了，能不能帮我 {v} 一下",
            "从前面走{number}分钟，右边就是 {en}",
            "北边的{zh}比南边的便宜一点",
            "{number}个人住一个 {en} 可以吗",
            "where can we {v} the {en} to the city",
        ],
    },
    "kitchen": {
        "en": [
            "coffee", "restaurant", "menu", "dinner", "lunch", "sugar", "chicken", "rice", "soup", "party",
            "kitchen", "food",
        ],
        "zh": ["鱼", "肉", "青菜", "水果", "面", "热水", "晚饭", "饭"],
        "v": "cook order drink buy taste share".split(),
        "own": [
            "妈妈{clock}要做{zh}和{zh}，请你去买一点 {en}",
            "我想 {v} 一份 {en} ，不要太热",
            "这家 {en} 的{zh}比较贵，但是很好吃",
            "先把{zh}放进水里，等{number}分钟再拿出来",
            "{zh}不够了，客人还没有吃到 {en}",
            "今天的 {en} 有{zh}，还有{number}种{zh}",
            "他只喜欢{zh}，不喜欢 {en}",
            "可以给我一杯 {en} 吗，我{clock}要走",
            "不要把 {en} 跟{zh}放在一起",
            "we can {v} the {en} after the party",
        ],
    },
    "sports": {
        "en": [
            "football", "basketball", "coach", "player", "stadium", "match", "score", "ticket", "team",
            "music", "concert", "game",
        ],
        "zh": ["比赛", "足球", "红队", "电影", "音乐", "唱歌", "跳舞", "运动", "票", "孩子"],
        "v": "watch play win lose join cancel".split(),
        "own": [
            "{day}{clock}的{zh}我们赢了{number}个球",
            "红队的攻势很强，{en} 没有机会",
            "大家一起去 {v} 那个 {en} 吧",
            "{en} 的票已经没有了，只能在家看",
            "因为下雨， {en} 改到{day}",
            "他受伤了，不能 {v} {day}的 {en}",
            "昨天的{zh}非常特别，但是 {en} 很好",
            "孩子喜欢{zh}，也喜欢听 {en}",
            "休息以后，红队连进{number}球",
            "i want to {v} the {en} with my friend",
        ],
    },
}
