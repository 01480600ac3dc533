"""A small AMQP 0-9-1 broker in a process of its own, for tests and drills where no RabbitMQ is: killed and started again it has its data.

    with Broker(directory) as broker:           # any free port; directory keeps topology and messages
        ...                                     # point an AMQP client at broker.url
        broker.kill()                           # SIGKILL, at any moment: what was confirmed is on the disk
        broker.start()                          # the same port, the same data
    bodies = [message.body for message in messages(directory)]

It knows what a publisher needs: exchanges (topic, direct, fanout), queues and bindings, declared again or checked as RabbitMQ does it;
confirms, sent after an fsync; mandatory and returns; heartbeats; basic.get, which takes a message whether acknowledged or not. It has no
consumers, no TLS, one user and one virtual host, and no limit on its queues. Every message that ever reached a queue stays in its
journal, also when somebody got it, so that `messages` is an audit of all that was taken. To stop it and let it go on:
os.kill(broker.pid, SIGSTOP) and SIGCONT.
"""

from edgegw.testing.broker.journal import Message, messages
from edgegw.testing.broker.process import Broker

__all__ = ["Broker", "Message", "messages"]
