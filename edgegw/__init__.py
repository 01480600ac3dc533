"""edgegw: reads every sensor in a process of its own and delivers every reading to RabbitMQ and MySQL."""

__version__ = "0.1.0"
