"""How a run behaves, whatever it trains."""

precision = "fp32"
accumulate = 1
grad_clip = 1.0
seed = 0
checkpoint = dict(interval=1000, keep=2)
log = dict(interval=10)
