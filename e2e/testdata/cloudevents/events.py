"""CloudEvents' SDK for Python writes requests in every way it has, or reads topics and passes the events on as JSON.

Usage: BROKERS=… python events.py write CONTRACT… | read TOPIC COUNT …
"""

import json
import os
import sys
from datetime import datetime, timezone

from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

brokers = os.environ["BROKERS"]


def to_event(message):
    # Headers that are no attributes may be binary, or null.
    headers = {name: value for name, value in message.headers() or []
               if name == "content-type" or name.startswith("ce_")}
    return kafka.from_kafka_event(kafka.KafkaMessage(headers, message.key(), message.value()))


def to_record(event, mode):
    return kafka.to_binary_event(event) if mode == "binary" else kafka.to_structured_event(event)


def write(contracts):
    # librdkafka's default is CRC32, which puts a contract elsewhere than Java does.
    sender = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    for contract in contracts:
        for way in ["binary", "structured", "base64"]:
            data = {"contractId": contract, "balanceCodes": ["AVAILABLE", "BLOCKED"]}
            event = CloudEvent({
                "id": f"python-{way}-{contract}",
                "source": "/statements",
                "type": "example.balance.requested",
                "specversion": "1.0",
                "time": datetime.now(timezone.utc),
                "datacontenttype": "application/json",
                "partitionkey": contract,
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                "attempt": 3,
            }, json.dumps(data).encode() if way == "base64" else data)
            record = to_record(event, way)
            sender.produce("balance.requests", key=record.key, value=record.value, headers=record.headers)
    if sender.flush(20):
        sys.exit("not sent")


def read(counts):
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "none", "enable.auto.commit": False,
                       "isolation.level": "read_committed"})
    reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic in counts
                   for partition in reader.list_topics(topic, timeout=10).topics[topic].partitions])
    while any(count > 0 for count in counts.values()):
        message = reader.poll(0.1)
        if message is None or message.error():
            continue
        line = {"at": f"{message.topic()}/{message.partition()}/{message.offset()}"}
        try:
            line["event"] = json.loads(JSONFormat().write(to_event(message)))
        except Exception as error:
            line["error"] = repr(error)
        print(json.dumps(line))
        counts[message.topic()] -= 1


if sys.argv[1] == "write":
    write(sys.argv[2:])
else:
    read({topic: int(count) for topic, count in zip(sys.argv[2::2], sys.argv[3::2])})
