"""A Chequr API of one's own, on loopback: every endpoint, limit and error of the API reference.

For trying the agent before there is a key, and for testing it and its plugins. Where the reference leaves a
question open, the answer taken here is written where it is implemented:

- what is refused, with which code                            `refusal`
- tokens, scopes, rotation, revocation                        `keys`
- rate and size limits                                        `limits`, `payload`
- which requests an Idempotency-Key makes one                 `idempotency`
- how evidence is judged and how a control's status follows   `verdict`
- the order of lists, and what a cursor holds                 `cursor`, `audit`, `controls`
- signatures and redelivery of webhooks                       `webhooks`
- misbehaving on demand                                       `faults`
- turning all of it at run time                               `console`

`server.serve` runs it, `server.running` lends it to a test. Nothing here imports the rest of the agent.
"""
