"""The published figures that ours stand beside: Tseng et al., "Leave No Knowledge Behind During
Knowledge Distillation", SLT 2024, Tables 2 to 5. Error rates in percent.
"""

SETS = ("COOLTEST", "NTUML2021", "CV16", "ASCEND")

# Table 2: parameters, speed against the teacher, data kept (%), MER on each of SETS.
MAIN = {
    "teacher": ("1550 M", 1.0, None, (13.96, 7.35, 9.07, 25.69)),
    "student_full": ("756 M", 5.0, 100, (12.98, 6.29, 7.80, 22.07)),
    "student_ngram": ("756 M", 4.9, 97, (12.56, 6.28, 8.05, 19.78)),
    "student_mer": ("756 M", 5.1, 55, (11.96, 6.24, 7.54, 19.40)),
    "student_per": ("756 M", 5.0, 61, (11.54, 6.17, 7.33, 18.82)),
    "student_comp": ("756 M", 5.1, 74, (11.44, 6.09, 7.62, 17.86)),
}

# Table 3: COOLTEST, zh CER and en WER.
LANGUAGES = {
    "teacher": (13.23, 20.64),
    "student_full": (11.93, 22.41),
    "student_mer": (11.31, 17.93),
    "student_per": (10.77, 18.57),
    "student_comp": (10.61, 18.89),
}

# Table 4: COOLTEST, number of repetitions.
REPETITIONS = {
    "teacher": 110,
    "student_full": 101,
    "student_ngram": 47,
    "student_mer": 40,
    "student_per": 45,
    "student_comp": 22,
}

# Table 5: recall of the labels with a true MER > 0.4, mean over alpha = 0.1 ... 0.9, by (MER, PER).
RECALL = {"base": (0.69, 0.66), "small": (0.60, 0.54), "medium": (0.63, 0.62)}
