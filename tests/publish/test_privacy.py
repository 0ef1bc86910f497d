"""What looks private in a label is listed, what does not is left alone."""

import random
import time

import pytest

from k2d.publish.privacy import PersonalData, find, find_in, listed_in, search


@pytest.mark.parametrize(
    "text, expected",
    [
        ("有問題寄到 someone.x@example.edu.tw 給我", ("e-mail", "someone.x@example.edu.tw")),
        ("寄到 someone at gmail dot com 就好", ("e-mail", "someone at gmail dot com")),
        ("打我手機 0912-345-678", ("telephone number", "0912-345-678")),
        ("打我手機 0912*345*728", ("telephone number", "0912*345*728")),
        ("it is john [@] gmail.com", ("e-mail", "john [@] gmail.com")),
        ("john(@)gmail(.)com", ("e-mail", "john(@)gmail(.)com")),
        ("寫信給王小明@gmail.com", ("e-mail", "給王小明@gmail.com")),
        ("零九一二啊三四五那個七二八", ("telephone number", "零九一二啊三四五那個七二八")),
        ("oh nine one two, uhm, three four five ah seven two eight",
         ("telephone number", "oh nine one two, uhm, three four five ah seven two eight")),
        ("call eight hundred five five five one nine four two",
         ("telephone number", "eight hundred five five five one nine four two")),
        ("手機是零九一二三四五六七八謝謝", ("telephone number", "零九一二三四五六七八")),
        ("辦公室 (02) 3366 1234 分機", ("telephone number", "02) 3366 1234")),
        ("call +886 2 3366 1234", ("telephone number", "+886 2 3366 1234")),
        ("身分證 A123456789", ("identity number", "A123456789")),
        ("身份证 11010519491231002X", ("identity number", "11010519491231002X")),
        ("卡號 4111 1111 1111 1111", ("card number", "4111 1111 1111 1111")),
        ("卡号 6222021234567890123", ("card number", "6222021234567890123")),
        ("卡号 6217 0000 1001 2345 678", ("card number", "6217 0000 1001 2345 678")),
        ("六二一七零零零零一零零一二三四五六七八", ("card number", "六二一七零零零零一零零一二三四五六七八")),
        ("amex 3714 496353 98431", ("card number", "3714 496353 98431")),
        ("amex 3714, 496353, 98431", ("card number", "3714, 496353, 98431")),
        ("打 0912, 345 678", ("telephone number", "0912, 345 678")),
        ("打零九一二。三四五。六七八", ("telephone number", "零九一二。三四五。六七八")),
        ("john(a)gmail.com", ("e-mail", "john(a)gmail.com")),
        ("john at gmail dotcom", ("e-mail", "john at gmail dotcom")),
        ("學號 b08901234 的同學", ("student number", "b08901234")),
        ("<|0.00|>打 0912<|1.00|><|1.00|>345678<|2.00|>", ("telephone number", "0912 345678")),
        # invisible characters, full width, other ways to write the signs
        ("打 09\u200b12\ufeff345\u2060678 吧", ("telephone number", "09\u200b12\ufeff345\u2060678")),
        ("call zero\u200bnine one\u2060two three\u00adfour five\u200bsix seven eight",
         ("telephone number", "zero\u200bnine one\u2060two three\u00adfour five\u200bsix seven eight")),
        ("打ZeroNineOneTwoThreeFourFiveSixSevenEight吧",
         ("telephone number", "ZeroNineOneTwoThreeFourFiveSixSevenEight")),
        ("call zero\u200bnine\u200btwelve\u200bthirty\u200bfour\u200bfifty\u200bsix\u200bseventy\u200beight",
         ("telephone number",
          "zero\u200bnine\u200btwelve\u200bthirty\u200bfour\u200bfifty\u200bsix\u200bseventy\u200beight")),
        ("call oh\u200bnine\u200bdouble\u200bone two three four five six seven",
         ("telephone number", "oh\u200bnine\u200bdouble\u200bone two three four five six seven")),
        ("打 0️⃣9️⃣12345678", ("telephone number", "0️⃣9️⃣12345678")),
        ("卡號 ４１１１－１１１１－１１１１－１１１１", ("card number", "４１１１－１１１１－１１１１－１１１１")),
        ("寄到 some\u200bone＠example．edu．tw 給我", ("e-mail", "some\u200bone＠example．edu．tw")),
        ("寄到 someone [at] gmail [dot] com 就好", ("e-mail", "someone [at] gmail [dot] com")),
        ("寄到 someone【at】gmail【dot】com 就好", ("e-mail", "someone【at】gmail【dot】com")),
        ("寄到 someone(at)example.edu.tw 就好", ("e-mail", "someone(at)example.edu.tw")),
        ("寄到 someone 小老鼠 gmail 點 com 就好", ("e-mail", "someone 小老鼠 gmail 點 com")),
        # digits parted by commas, as a transcriber hears the pauses of somebody who dictates a number
        ("打 零、九、一、二、三、四、五、六、七、八", ("telephone number", "零、九、一、二、三、四、五、六、七、八")),
        ("零，九，一，二，三，四，五，六，七，八", ("telephone number", "零，九，一，二，三，四，五，六，七，八")),
        ("打 零 九 一 二 三 四 五 六 七 八", ("telephone number", "零 九 一 二 三 四 五 六 七 八")),
        ("call zero nine one two; three four five; six seven eight",
         ("telephone number", "zero nine one two; three four five; six seven eight")),
        ("打 零九一二，三四五，六七八 吧", ("telephone number", "零九一二，三四五，六七八")),
        ("打 零九、一二、三四、五六、七八", ("telephone number", "零九、一二、三四、五六、七八")),
        ("打 0912, 345, 678", ("telephone number", "0912, 345, 678")),
        ("身分證 A，一，二，三，四，五，六，七，八，九", ("identity number", "A，一，二，三，四，五，六，七，八，九")),
        ("學號 b、0、8、9、0、1、2、3、4", ("student number", "b、0、8、9、0、1、2、3、4")),
        ("卡號 四一一一，一一一一，一一一一，一一一一", ("card number", "四一一一，一一一一，一一一一，一一一一")),
        # spelt letter by letter, and with other words and signs
        ("寄到 j o h n @ g m a i l . c o m 吧", ("e-mail", "n @ g m a i l . c o m")),
        ("mail J O H N at G M A I L dot C O M", ("e-mail", "N at G M A I L dot C O M")),
        ("john at gmail point com", ("e-mail", "john at gmail point com")),
        ("寄 john艾特gmail點com", ("e-mail", "john艾特gmail點com")),
        ("寄 john [小老鼠] gmail.com", ("e-mail", "john [小老鼠] gmail.com")),
        ("寄到 john_at_gmail.com 就好", ("e-mail", "john_at_gmail.com")),
        ("寄到 john-at-mail-dot-ntu.edu.tw", ("e-mail", "john-at-mail-dot-ntu.edu.tw")),
        ("寄到 john#at#gmail.com", ("e-mail", "john#at#gmail.com")),
        ("寄到 john ~at~ gmail *dot* com", ("e-mail", "john ~at~ gmail *dot* com")),
        ("寄到 john _at_ gmail -dot- com", ("e-mail", "john _at_ gmail -dot- com")),
        ("寄到 john at-sign gmail.com", ("e-mail", "john at-sign gmail.com")),
        ("寄到 john@gmail，com 就好", ("e-mail", "john@gmail，com")),
        ("打 零玖壹貳參肆伍陸柒捌", ("telephone number", "零玖壹貳參肆伍陸柒捌")),
        ("打 0912・345・678", ("telephone number", "0912・345・678")),
        ("打 0912_345~678", ("telephone number", "0912_345~678")),
        # in pairs, as people say them
        ("打 oh nine twelve thirty-four fifty-six seventy-eight 吧",
         ("telephone number", "oh nine twelve thirty-four fifty-six seventy-eight")),
        ("call four one five, five five five, twelve ninety",
         ("telephone number", "four one five, five five five, twelve ninety")),
        ("打零九十二三十四五十六七十八吧", ("telephone number", "零九十二三十四五十六七十八")),
        ("打 零九，十二，三十四，五十六，七十八", ("telephone number", "零九，十二，三十四，五十六，七十八")),
        ("打 09 四十一 forty-one 二十 thirty", ("telephone number", "09 四十一 forty-one 二十 thirty")),
        ("nought nine one two double-three four double-five six",
         ("telephone number", "nought nine one two double-three four double-five six")),
        ("卡號 forty-one eleven, eleven eleven, one one one one, twelve thirty-four",
         ("card number", "forty-one eleven, eleven eleven, one one one one, twelve thirty-four")),
        # numbers spoken in English, and half in Chinese
        (
            "我的手機 zero nine one two three four five six seven eight 謝謝",
            ("telephone number", "zero nine one two three four five six seven eight"),
        ),
        (
            "call Oh nine one two, three four five, double six 八 please",
            ("telephone number", "Oh nine one two, three four five, double six 八"),
        ),
        ("打 zero九一二three四五 six七八", ("telephone number", "zero九一二three四五 six七八")),
        (
            "身分證 A one two three four five six seven eight nine 對",
            ("identity number", "A one two three four five six seven eight nine"),
        ),
        (
            "學號 b zero eight nine oh one two three four",
            ("student number", "b zero eight nine oh one two three four"),
        ),
        # as soldiers say digits, and with a circle as a zero
        ("打 洞九么兩三四五六拐八 謝謝", ("telephone number", "洞九么兩三四五六拐八")),
        ("打 ○九一二三四五六七八 謝謝", ("telephone number", "○九一二三四五六七八")),
        # signs that are spoken, and what people say while they think
        ("call zero nine one two dash three four five dash six seven eight",
         ("telephone number", "zero nine one two dash three four five dash six seven eight")),
        ("打 零九一二槓三四五槓六七八", ("telephone number", "零九一二槓三四五槓六七八")),
        ("打 零九一二，嗯，三四五 uh 六七八", ("telephone number", "零九一二，嗯，三四五 uh 六七八")),
        # "at" that is spoken before a dot that is written
        ("寫給 john at gmail.com 就好", ("e-mail", "john at gmail.com")),
        ("寫給 john at csie.ntu.edu.tw 就好", ("e-mail", "john at csie.ntu.edu.tw")),
        ("john at g mail dot com", ("e-mail", "john at g mail dot com")),
        ("打 0912\u3164345\u115f678", ("telephone number", "0912\u3164345\u115f678")),
        # numbers without a 0 before them, in groups that commas part
        ("手机号139，8276，5431", ("telephone number", "139，8276，5431")),
        ("電話是一三八，零零一三，八零零零", ("telephone number", "一三八，零零一三，八零零零")),
        ("我的手機，一三八、零零一三、八零零零", ("telephone number", "一三八、零零一三、八零零零")),
        ("號碼是 1 3 9, 8 2 7 6, 5 4 3 1", ("telephone number", "1 3 9, 8 2 7 6, 5 4 3 1")),
        ("一，三，九，八，二，七，六，五，四，三，一",
         ("telephone number", "一，三，九，八，二，七，六，五，四，三，一")),
        ("打 +86，139，8276，5431", ("telephone number", "+86，139，8276，5431")),
        ("打 +886, 912, 345, 678", ("telephone number", "+886, 912, 345, 678")),
        ("手機九一二，三四五，六七八", ("telephone number", "九一二，三四五，六七八")),
        ("call 415, 555, 2671", ("telephone number", "415, 555, 2671")),
        ("call me at 4-1-5, 5-5-5, 2-6-7-1", ("telephone number", "4-1-5, 5-5-5, 2-6-7-1")),
        ("打二三六九，八一二五", ("telephone number", "二三六九，八一二五")),
        ("學號 B，一零，九零二，零零一", ("student number", "B，一零，九零二，零零一")),
        ("學號 B 一零，九零二，零零一", ("student number", "B 一零，九零二，零零一")),
        ("身分證 A，一，二三四五，六七八三", ("identity number", "A，一，二三四五，六七八三")),
        ("四四零三零一，一九九零零三零七，八五一五", ("identity number", "四四零三零一，一九九零零三零七，八五一五")),
        ("四四零三零一，一九九零，零三零七，八五一X", ("identity number", "四四零三零一，一九九零，零三零七，八五一X")),
        ("香港身份證 A482716（3）", ("identity number", "A482716（3）")),
        ("一三八……零零一三…八零零零", ("telephone number", "一三八……零零一三…八零零零")),
        ("打 0912‧347‧658", ("telephone number", "0912‧347‧658")),
        # what is near to an ordinary row of numbers
        ("打 +44 20 71 23 45 67", ("telephone number", "+44 20 71 23 45 67")),
        ("打 02-2012-1999", ("telephone number", "02-2012-1999")),
        ("打 138 1234 5678", ("telephone number", "138 1234 5678")),
        ("寄到 2015-2018@gmail.com", ("e-mail", "2015-2018@gmail.com")),
        ("寄到 john @ gmail.com", ("e-mail", "john @ gmail.com")),
        ("寄到 john 在 gmail 點 com", ("e-mail", "john 在 gmail 點 com")),
        ("寄到 john圈a gmail.com", ("e-mail", "john圈a gmail.com")),
        ("寄到 john @ uni-bonn.de", ("e-mail", "john @ uni-bonn.de")),
        ("寄到 john @ lab.fr", ("e-mail", "john @ lab.fr")),
        ("寄到 john @ cs.ox.ac.uk", ("e-mail", "john @ cs.ox.ac.uk")),
        ("王小明@lab.fr", ("e-mail", "王小明@lab.fr")),
        ("contact us at gmail dot com", ("e-mail", "us at gmail dot com")),
        ("contact us at g mail dot com", ("e-mail", "us at g mail dot com")),
        ("卡號 45 32 11 29 87 65 43 21", ("card number", "45 32 11 29 87 65 43 21")),
        ("我刷 45 32 11 29 87 65 43 21", ("card number", "45 32 11 29 87 65 43 21")),
        ("帳號 81 27 35 44 62", ("telephone number", "81 27 35 44 62")),
        ("my account number is 81 27 35 44 62", ("telephone number", "81 27 35 44 62")),
        ("打 10 20 30 40 0912345678", ("identity number", "10 20 30 40 0912345678")),
        ("打 1 2 3 4 0912345678", ("telephone number", "1 2 3 4 0912345678")),
        ("打 1 2 3 4 5 81273544", ("telephone number", "1 2 3 4 5 81273544")),
        ("打 10 20 30 0912 1234", ("telephone number", "10 20 30 0912 1234")),
        ("打 2816 3515", ("telephone number", "2816 3515")),
        ("電話 2816 3515", ("telephone number", "2816 3515")),
        ("電話 2000 1024", ("telephone number", "2000 1024")),
        ("電話是 2015 2018", ("telephone number", "2015 2018")),
        ("2048-1024", ("telephone number", "2048-1024")),
        ("call (415), 555, 2671", ("telephone number", "415), 555, 2671")),
        ("辦公室 (02), 3366, 1234", ("telephone number", "02), 3366, 1234")),
        ("打 138.123.456.78", ("telephone number", "138.123.456.78")),
        ("打 28163515 分機 12", ("telephone number", "28163515")),
        ("電話 28163515 次", ("telephone number", "28163515")),
        ("打 13812345678 個", ("telephone number", "13812345678")),
        ("連到 140.112.30.26 這台", ("IP address", "140.112.30.26")),
        ("學號 10812345", ("student number", "學號 10812345")),
        ("學號是一零八一二三", ("student number", "學號是一零八一二三")),
        ("my student ID is 1081 234", ("student number", "student ID is 1081 234")),
        ("他是 A123456(3)", ("identity number", "A123456(3)")),
        ("他是 ab987654 (3)", ("identity number", "ab987654 (3)")),
        ("他是 A 一二三四五六（三）", ("identity number", "A 一二三四五六（三）")),
        ("it is A one two three four five six (3)", ("identity number", "A one two three four five six (3)")),
    ],
)
def test_private_looking_text_is_found_once(text, expected):
    assert list(find_in(text)) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "在 2019 年有 1500 個參數",
        "learning rate 是 0.0001 跑 120000 步",
        "第一二三章",
        "between 1990 and 2000, 1024 and 2048",
        "3.14159 and 2.71828",
        "3.14159265358979 and 2.718281828459045",
        "2 的 60 次方是 1152921504606846976",
        "看 section 1 (a) mit.edu 的網站, look (a) stanford.edu (b) mit.edu",
        "16*16*16*3*3",
        "用@app.route 這個",
        "chapters one and two and three and four and five and six and seven and eight",
        "one hundred and twenty three thousand four hundred and fifty six",
        "the model has 1550 million parameters at most",
        "look at the dot product",
        "look at arxiv.org, it is at github.com",
        "1 dash 2 dash 3 dash 4 dash 5 dash 6 dash 7 dash 8",
        "look (at) this. It works, one by one",
        "one two three four five six seven eight nine ten",
        "nine, eight, seven, six, five, four, three, two, one, zero",
        "one two three one two three one two three 跟著拍子",
        "zero one zero one one zero zero one 是 binary",
        "two two two two two two two two two two two two two two two two two two two",
        "pi 是 three point one four one five nine two six five",
        "三點一四一五九二六五",
        "one, one, two, three, 5, 8, 13, 21, 34",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
        "the one thing that five or six of you asked, 在 zero shot 的 case",
        "GPT four o 跟 o one 的差別",
        "nineteen eighty four nineteen eighty-five",
        "ninety five ninety eight ninety nine ninety seven percent",
        "九十五 九十八 九十九 九十七 分",
        "三百四十一萬兩千五百六十七",
        "第二十一 第二十二 第二十三 第二十四",
        "ten twenty thirty forty fifty",
        "十分十分十分十分十分十分十分十分",
        "12,345,678 個參數",
        "0、1、2、3、4、5、6、7、8、9",
        "零、二、四、六、八、十、十二、十四",
        "05、10、15、20、25",
        "0, 1, 1, 2, 3, 5, 8, 13, 21",
        "0、1、1、0、1、0、0、1 是一個 byte",
        "排序 5、2、8、1、9、3、7、4",
        "1,000,000,000",
        "0, 100, 200, 300",
        "什么是山洞？那么 1 2 3 洞",
        "look at signal.process",
        # years, dates, sizes of layers
        "2015-2018 跟 1984 2001 2012",
        "2024-01-15, 2024-01-31 10:30",
        "256 512 1024 2048",
        "conv 3 64 128 256, input 224 224 3 64",
        "64 128 256 512 512",
        "hidden size 256, 768, 1024, n, 128, 256, 512",
        "300, 600, 1200 步, 2500, 3000 步",
        "4294967296 跟 2147483647",
        "912,345,678 個參數, n 100,250,500",
        # papers and books, scores, decimals, series
        "arXiv 1706.03762 跟 1406.2661",
        "ISBN 978-7-111-40701-0, ISBN 0-262-03384-4",
        "85 90 78 92 66 71 80 77 90 61 66 88",
        "12.5 13.5 14.5 15.5 16.5 17.5 18.5",
        "0.9123 0.8765",
        "1 1 2 3 5 8 13 21 34 55 89 144",
        "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47",
        "三七二十一 四七二十八，五七三十五",
        "85 90 78 92 66 71 80 77, 85 90 78 92 66",
        "prime numbers 2 3 5 7 11 13 17 19 23",
        "30 40 50 60 70 80 90 95 分",
        "2048 1024 512, 2015 2018, 第三號 64 128 256 512",
        "2147483647 4294967296",
        # versions, addresses that every house has, numbers of things
        "version 12.34.56.78, python 3.11.2.10, 192.168.1.101",
        "總共 13843207 個參數, 10934578 tokens, 考了 20934578 分",
        "學號 1 到 12 號",
        # the form of an identity number, but not its check digit
        "fc 100352 (3)",
        "x123456(1), A123456(4)",
        "Table A 123 456 (7)",
        "A 123456 (3)",
        "layer c 512 512 (3)",
        "Q 12 34 56 (7)",
        # no addresses
        "A @ B.T, self @ other.weight, x @ model.py, x @ lib.so, A @ df.at[0], W @ x. It is in, W @ x. In",
        "see the docs at pytorch dot org",
        "meet at ntu dot edu dot tw",
        "寫在 code 在 github 點 com",
        "oooooooooooooooooh ohohohohohohohohoh nineteenth someoneelse",
        "",
    ],
)
def test_ordinary_lectures_are_left_alone(text):
    assert list(find_in(text)) == []


PRIVATE = [
    "call zero nine one two dash three four five six seven eight please",
    "my ID is A123456789 ok",
    "mail someone at gmail dot com please",
    "the student number is 12345678",
    "oh nine double one two three four five six seven",
]


# Zero width, soft hyphen, directions, variation selectors, fillers, control.
@pytest.mark.parametrize(
    "invisible",
    "\u200b \u200c \u200d \u200e \u200f \u2060 \u2063 \ufeff \u00ad \ufe0f \U000e0100 \u202a \u202e \u2066 \u2069 "
    "\u180e \u061c \u034f \u3164 \u2800 \x00 \x7f \u200b\ufeff".split(" "),
)
def test_what_is_invisible_neither_hides_nor_glues(invisible):
    for text in PRIVATE:
        ((kind, found),) = find_in(text)
        for blank in (invisible, f" {invisible}", f"{invisible} ", f" {invisible} "):
            assert list(find_in(text.replace(" ", blank))) == [(kind, found.replace(" ", blank))]
        assert list(find_in(invisible.join(text))) == [(kind, invisible.join(found))]
    assert list(find_in(invisible.join("第5章, 2048 tokens, 3.14159265358979, meet at pytorch dot org"))) == []


def test_any_white_space_is_a_blank():
    for blank in "\t\v\f\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u3000":
        for text in PRIVATE:
            (kind, found), *_ = find_in(text)
            assert list(find_in(text.replace(" ", blank))) == [(kind, found.replace(" ", blank))]


def test_a_finding_is_one_line_of_the_list(tmp_path):
    (tmp_path / "text").write_text("a call oh nine\x85double\u2028one two three four five six seven\nb hi\n", "utf-8")
    assert search(tmp_path / "text", tmp_path) == (2, {"telephone number": 1}) and listed_in(tmp_path) == 1


def test_findings_name_the_label():
    assert find([("a", "好"), ("b", "0912345678")]) == [PersonalData("b", "telephone number", "0912345678")]


@pytest.mark.parametrize(
    "piece",
    ["a", "1", "1 ", "o", "one ", "one", "oh", "one\u200b", "1\u200b", "a\u200b", "\u200b",
     "zero,", "double ", "forty ", "a@", "a@a.", "a at a dot ", "[at]", "點", "(",
     "+", "1 dash ", "1 and ", "王@", "eight hundred ", "(@)", "a at a.", "<|", "a-at-a", "a_at_a.",
     "a-at-" + "a-dot-" * 20, "1, ", "1 1 1, ", "+1, ", "+86, 1", "12.5 ", "a @ ", "a @ a.", "ISBN 1", "2015-", "a1,",
     "號 1 ", "A123456(3) ", "a @ a.fr ",
     "140.112.30.26 ", "student ID 1 ", "學號是", "(415), "],
)
def test_the_time_grows_with_the_length(piece):
    """Eight times the text takes some eight times the time; where it grew by the square, 64 times."""

    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        start = time.process_time()
        list(find_in(f"<|0.00|>{' ' * length}好{text}"))
        return time.process_time() - start

    seconds(100)  # tables
    short = min(seconds(8_000) for _ in range(3))
    assert any(seconds(64_000) < 30 * short for _ in range(3)), "not even once of three times"


def test_positions_in_the_plain_form_lead_back_to_the_label():
    draw = random.Random(1)
    for _ in range(300):
        noise = ["".join(draw.choices("你好\u200b，。 xy\u0301", k=draw.randint(0, 5))) for _ in range(2)]
        number = draw.choice(["0912345678", "零九一二 three 四五六七八", "０９12\u200b345-678"])
        assert list(find_in(f"{noise[0]}號 {number} 號{noise[1]}")) == [("telephone number", number)]
