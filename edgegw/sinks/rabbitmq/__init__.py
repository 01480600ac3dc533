"""Readings to RabbitMQ: confirmed, persistent, mandatory; the only room that knows aio-pika."""

from edgegw.sinks.rabbitmq.settings import RabbitMQSettings
from edgegw.sinks.rabbitmq.sink import RabbitMQSink

__all__ = ["RabbitMQSettings", "RabbitMQSink"]
