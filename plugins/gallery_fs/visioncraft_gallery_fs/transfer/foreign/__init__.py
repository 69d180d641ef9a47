"""Pictures that other programs drew, and the parameters they left inside.

sd-parsers (MIT) was looked at for this and passed over: it keeps the EXIF text of the last picture under `id(image)`,
which Python gives to the next picture too, and it reads neither quoted values of AUTOMATIC1111 nor the model of an
InvokeAI after 4.0.
"""
