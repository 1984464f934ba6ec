"""How weights follow their gradients.

An optimiser is a function ``f(groups, **options) -> torch.optim.Optimizer``; ``groups`` are torch's parameter
groups, made by `yisheng.optim.groups`. A group that says ``weight_decay`` itself keeps it. In the equations g is
the gradient of the batch's mean loss, w a weight, lr the learning rate of the step, which is the schedule's
factor times the option ``lr``.

What `register` may be told here: ``default_for`` (what ``optimizer=auto`` means).
"""
