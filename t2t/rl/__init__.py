"""From acting to batches: environments are acted in, and a replay table is filled.

    observation → `act` of the model → environments → Recorder → replay table → batch

`experience` says what an item of the table is; `acting` is the way round; `local`
interleaves acting and learning in one process; `play` runs whole episodes. A model
that acts has `act`; nothing here knows which algorithm it is.
"""
