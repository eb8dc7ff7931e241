"""performance: how well risks were predicted, by outcome, subgroup and all together; their utility;
and how the models were fitted."""
