"""The studies that the gate stands on: real trials are recorded once, and every rule is put to the same ones.

1. `python -m benchmarks.gate.record aa --burners` records blocks of identical code, `--slowdown 0.04 0.05 0.1 0.2` of code that
   was given more work; both can be stopped and gone on with.
2. `python -m benchmarks.gate.false_alarms aa` counts how often identical code is called slower.
3. `python -m benchmarks.gate.detections aa slowed` counts how often more work is found.
4. `python -m benchmarks.gate.rivals aa slowed` puts the rules of other tools beside ours, on the same blocks.
5. `python -m benchmarks.gate.accuracy` trains: a broken padding mask is found, seeds alone are not.
6. `python -m benchmarks.gate.without_noise` checks a model that got wider, or does more, against a stored baseline.
7. `python -m benchmarks.gate.broken_control` slows all that runs in HEAD's slot, which its control must see.
8. `python -m benchmarks.gate.big_check` times a check of 10,000 cases.

docs/method.md tells what they found.
"""
