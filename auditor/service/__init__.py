"""`auditor serve`: HTTP intake that acknowledges after fsync, reads, and the scheduler, in one process.

access      which route needs which permission, which role has it
keyring     who holds which key, at most two seconds old
hosts       which Host a request may name
connections how many, how slow, how much of each: bounded before a request is one
guard       every request: key, permission, limits of the connection; nothing is open that is not named
bodies      bytes of a request, bounded before they are held
settle      a body -> frames and an answer: what is new, a duplicate, a conflict or refused
committer   two threads: settle bodies in order; write them with one fsync for many requests
scheduler   drains, audits closed windows, keeps trying when the store is away
app         the FastAPI application; routes/ has its routes
server      uvicorn, signals, and the order of going down
"""
