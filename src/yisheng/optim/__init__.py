"""Optimizers: how weights are updated from their gradients.

An optimizer is a function ``f(groups, **options) -> torch.optim.Optimizer``; ``groups`` are torch's parameter
groups, made by `yisheng.optim.parameter_groups`. A group with its own ``weight_decay`` keeps it. In the equations g is
the gradient of the batch's mean loss, w a weight, lr the learning rate of the step, which is the schedule's
factor times the option ``lr``.

Facts that `register` takes for an optimizer: ``default_for``, whether it is what ``optimizer=auto`` means for a spec;
``line_search``, whether it chooses the size of its steps itself;
``updates=False`` if it has none, and no options.
"""
