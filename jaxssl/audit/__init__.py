"""Is a pretext task solvable, free of shortcuts, and useful?

A pretext task is worth its labels only if it cannot be answered from traces that say nothing of
the image: a lens's coloured fringes, borders that continue each other, the blur of an
interpolation. ``audit.audit_run`` and ``audit.audit_recipe`` measure this; ``cues`` and ``traces``
describe the traces, ``probes`` tries to answer from them alone, ``controls`` takes the content
away from the images, ``network`` and ``usefulness`` measure the trained network.
"""
