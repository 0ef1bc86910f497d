"""What the preparations of published corpora share.

In: corpora in the form in which they are published. Out: data directories of the data contract: unlabelled
long recordings for training, test sets as utterances and as whole recordings.

It reads audio, writes data directories and imports nothing above `k2d.label`.
"""
