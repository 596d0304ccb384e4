"""A local tenancy that behaves like Preservica's webhook service, and a receiver: to learn on, and to test with.

What may live here: the service's side (its rules, its HTTP server, its faults, its challenges) and a receiver's side.
What may not: anything of the client. Of hooksync only `handshake` may be imported, so that one wrong belief about the
service cannot hide in both. It listens on 127.0.0.1 alone, needs the standard library alone, and never prints.

Nothing is imported here, so that importing one room does not pay for the others.
"""
