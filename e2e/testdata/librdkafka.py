"""Publishes the request on standard input by librdkafka, which logs in by a token of a file, and prints the result."""

import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

brokers, ca, token_file, requests, results, group = sys.argv[1:]


def token(_):
    with open(token_file) as file:
        return file.read().strip(), time.time() + 300


login = {
    "bootstrap.servers": brokers,
    "security.protocol": "SASL_SSL",
    "ssl.ca.location": ca,
    "ssl.endpoint.identification.algorithm": "none",  # it has no setting for another name
    "sasl.mechanisms": "OAUTHBEARER",
    "oauth_cb": token,
}
producer = Producer(login)
producer.produce(requests, sys.stdin.read(), "70001")
if producer.flush(30):
    sys.exit("the request was not acknowledged")
consumer = Consumer(login | {"group.id": group, "enable.auto.commit": False})  # which it asks for and does not join
consumer.assign([TopicPartition(results, 0, OFFSET_BEGINNING)])
end = time.time() + 30
while time.time() < end:
    record = consumer.poll(1)
    if record and record.error():
        sys.exit(str(record.error()))
    if record:
        print(record.value().decode())
        break
consumer.close()
