"""The doctor: what is wrong with a training, with evidence and a remedy.

    Recorder (hooks on some steps) -> Case -> training checks -> Diagnosis: findings, ranked
    Dataset and Split              -> Sample -> data checks    -> findings
    RunFacts (the files of a run)  -> history checks           -> findings

A check is one registered function in a file of its own; the packages `training_checks`, `data_checks` and
`history_checks` say which arguments their decorator takes.
"""
