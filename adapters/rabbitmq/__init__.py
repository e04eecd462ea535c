"""RabbitMQ: where events leave and commands arrive."""
