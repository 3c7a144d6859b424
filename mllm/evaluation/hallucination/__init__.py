"""Hallucination measured by the field's protocols, from files of predictions and annotations in their public formats.

| module | protocol | source |
|---|---|---|
| chair | objects named in captions that are not in the picture | Rohrbach et al. 2018, Object Hallucination in Image Captioning |
| pope | yes/no questions on objects, sampled three ways | Li et al. 2023, Evaluating Object Hallucination in LVLMs |
| amber | generative and discriminative, without a language model as judge | Wang et al. 2023, AMBER |
| mme | the hallucination subset: two questions a picture | Fu et al. 2023, MME |
| faithscore | share of an answer's atomic facts that the picture entails | Jing et al. 2023, FaithScore |
"""
