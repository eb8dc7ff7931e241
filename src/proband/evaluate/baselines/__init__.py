"""baselines: honest comparators, fitted on the train split alone, each giving a RiskTable like any model.

age_sex: incidence by age and sex, death competing. lightgbm and lightgbm_pgs: gradient boosting on the record
summary, without and with polygenic scores. pgs_logistic: penalised logistic regression on age, sex and all
polygenic scores.
"""
