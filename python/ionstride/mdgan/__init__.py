"""MD-GAN: long ion trajectories from short ones, with evidence.

Data: `windows` (increments, splits), `advice` (what the data can teach).  Series without a network: `surrogate`,
`baselines`.  Evidence: `series_statistics`, `quality`.  torch is imported only where a network is made or run.
"""
