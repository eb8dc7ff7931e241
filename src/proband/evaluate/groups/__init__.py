"""groups: metrics and observed risks within groups of people.

Reads: what people are known by (sex, age, ancestry, record, columns given), and scores.
Gives: metrics of subgroups with the gap to the largest, gains of the genome within them, performance by
    genetic distance, incidence by decile of a score.
Next: evaluate.stage. Not done here: the metrics themselves (evaluate.metrics).
"""
