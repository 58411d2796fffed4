"""Training: the only package that imports mmengine.

``config`` reads a config and its overrides, ``build`` turns nodes into objects, ``runner.train`` trains any model
that obeys
``model(batch) -> {name: scalar}``, ``checkpoint`` writes and reads what has been learnt.
"""
