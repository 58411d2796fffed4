"""Every record of a mixture read once, and what is wrong with it. Reads only; changes nothing.

``findings``  the kinds of findings, how bad each is, and a finding as a line of JSON
``lengths``   a conversation's length as training encodes it
``media``     a picture's or video's fingerprint, and what training and evaluation have in common
``records``   one record → its findings and measures
``reading``   all records, in several processes
``survey``    all records' checks → one survey: counts, lengths, findings
"""
