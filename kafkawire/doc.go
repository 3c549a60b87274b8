// Package kafkawire adds to kafka-go what its high-level Reader and Writer cannot do: idempotent and transactional
// record batches, a fetch whose decoder understands transactions, the requests of consumer groups of either protocol, a
// stable offset fetch, what each error code asks for, and one place for connection settings.
//
// It rides on kafka-go's own Transport (connections, TLS, SASL, metadata) through the protocol.RawExchanger hook, with
// kmsg as the codec of the messages. Versions are fixed per request and work on Kafka 3.x and 4.x.
package kafkawire
