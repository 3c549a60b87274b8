"""Asks for balances by Confluent's JSON Schema serializer, and prints the results that its deserializer reads."""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, url, requests, results, schema, *contracts = sys.argv[1:]
registry = SchemaRegistryClient({"url": url, "timeout": 10})  # seconds, and then it asks again
serialize = JSONSerializer(open(schema).read(), registry)
deserialize = JSONDeserializer(None, schema_registry_client=registry)  # by the schema that the frame names

producer = Producer({"bootstrap.servers": brokers})
for contract in contracts:
    request = {"contractId": contract, "balanceCodes": ["AVAILABLE"], "requestId": contract}
    value = serialize(request, SerializationContext(requests, MessageField.VALUE))
    producer.produce(requests, value, contract)
if producer.flush(30):
    sys.exit("the requests were not acknowledged")

consumer = Consumer({"bootstrap.servers": brokers, "group.id": "none", "enable.auto.commit": False,
                     "isolation.level": "read_committed"})
consumer.assign([TopicPartition(results, 0, OFFSET_BEGINNING)])
wanted, end = set(contracts), time.time() + 40
while wanted and time.time() < end:
    record = consumer.poll(1)
    if record is None:
        continue
    if record.error():
        sys.exit(str(record.error()))
    result = deserialize(record.value(), SerializationContext(results, MessageField.VALUE))
    if result["requestId"] in wanted:
        wanted.remove(result["requestId"])
        print(json.dumps(result))
consumer.close()
