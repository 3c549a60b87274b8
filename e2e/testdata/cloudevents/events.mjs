// CloudEvents' SDK for JavaScript writes requests in every way it has, or reads topics and passes the events on as JSON.
// Usage: BROKERS=… node events.mjs write CONTRACT… | read TOPIC COUNT …
import { randomUUID } from 'node:crypto'
import { CloudEvent, Kafka } from 'cloudevents'
import kafkajs from 'kafkajs'

// kafkajs wants text, and an attribute that is not set has no header.
function toRecord(event, mode) {
  const { key, value, headers } = mode === 'binary' ? Kafka.binary(event) : Kafka.structured(event)
  const set = Object.entries(headers).filter(([, attribute]) => attribute !== undefined)
  return {
    key,
    value: typeof value === 'object' && !Buffer.isBuffer(value) ? JSON.stringify(value) : value,
    headers: Object.fromEntries(set.map(([name, attribute]) => [name, String(attribute)])),
  }
}

// The SDK wants text, too. Headers that are no attributes may be binary, or null.
function toEvent({ key, value, headers }) {
  const attributes = Object.entries(headers).filter(([name]) => name === 'content-type' || name.startsWith('ce_'))
  return Kafka.toEvent({
    key: key?.toString(),
    value: value.toString(),
    headers: Object.fromEntries(attributes.map(([name, text]) => [name, text.toString()])),
  })
}

const cluster = new kafkajs.Kafka({ brokers: process.env.BROKERS.split(','), logLevel: kafkajs.logLevel.NOTHING })
const [, , action, ...rest] = process.argv
if (action === 'write') {
  const messages = []
  for (const contract of rest) {
    for (const way of ['binary', 'structured', 'base64']) {
      const data = { contractId: contract, balanceCodes: ['AVAILABLE', 'BLOCKED'] }
      const event = new CloudEvent({
        id: `js-${way}-${contract}`,
        source: '/statements',
        type: 'example.balance.requested',
        datacontenttype: 'application/json',
        partitionkey: contract,
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
        attempt: 3,
        data: way === 'base64' ? Buffer.from(JSON.stringify(data)) : data,
      })
      messages.push(toRecord(event, way))
    }
  }
  const sender = cluster.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await sender.connect()
  await sender.send({ topic: 'balance.requests', messages })
  await sender.disconnect()
} else {
  const missing = new Map()
  for (let i = 0; i < rest.length; i += 2) missing.set(rest[i], Number(rest[i + 1]))
  const reader = cluster.consumer({ groupId: `events-${randomUUID()}`, readUncommitted: false, maxWaitTimeInMs: 100 })
  await reader.connect()
  await reader.subscribe({ topics: [...missing.keys()], fromBeginning: true })
  let done
  const all = new Promise((resolve) => { done = resolve })
  await reader.run({
    eachMessage: async ({ topic, partition, message }) => {
      let line = { at: `${topic}/${partition}/${message.offset}` }
      try {
        line.event = toEvent(message)
      } catch (error) {
        line.error = String(error)
      }
      console.log(JSON.stringify(line))
      missing.set(topic, missing.get(topic) - 1)
      if ([...missing.values()].every((n) => n <= 0)) done()
    },
  })
  await all
  await reader.disconnect()
}
