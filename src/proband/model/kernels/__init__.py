"""kernels: operations that are not plain torch everywhere, behind one plain function each.

Reads and gives: tensors. Checks of device, gradient and compilation lie here and nowhere else in the model;
every kernel has a plain torch twin with which the tests compare it. Next: the trunk. Not done here: weights.
"""
