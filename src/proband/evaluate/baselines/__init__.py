"""baselines: honest comparators, fitted on the train split alone, each giving a RiskTable like any model.

age_sex: incidence by age and sex, death competing. pgs_logistic: penalised logistic regression on age, sex
and all polygenic scores.
"""
