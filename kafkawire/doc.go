// Package kafkawire adds to kafka-go what its high-level Reader and Writer cannot do, and nothing else: idempotent record
// batches, a fetch whose decoder understands transactions, a stable offset fetch, and one place for connection settings.
//
// It rides on kafka-go's own Transport (connections, TLS, SASL, metadata) through the protocol.RawExchanger hook, with
// kmsg as the codec of the messages. Versions are fixed per request and work on Kafka 3.x and 4.x.
package kafkawire
