// kafkajs with eachBatch: all partitions at once, of each as many records at a time as make the calls in flight. The
// results of such a group are written together and in order, then its offset counts as done.
'use strict'

const { CompressionTypes, Kafka, logLevel } = require('kafkajs')
const { Pool } = require('undici') // node's own client needs twice as much of a core

const env = process.env
const partitions = 12
const inFlight = Number(env.BENCH_IN_FLIGHT)
const together = Math.max(1, Math.floor(inFlight / partitions))
const attempts = 3
const cms = new URL(env.BENCH_CMS_URL)
const pool = new Pool(cms.origin, { connections: inFlight, headersTimeout: 10000, bodyTimeout: 10000 })

async function get (path) {
  const { statusCode, body } = await pool.request({ path, method: 'GET', headers: { accept: 'application/json' } })
  return { status: statusCode, body: await body.text() }
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

// answer makes the message for a request's result, or for its dead letter. JSON.parse would round the amounts, so that
// the balances stay text.
async function answer (message) {
  let failed
  try {
    const request = JSON.parse(message.value)
    const path = `${cms.pathname}/contracts/${encodeURIComponent(request.contractId)}/balances?balance_codes=` +
      request.balanceCodes.join(',')
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (attempt > 0) await pause(100 << attempt)
      try {
        const { status, body } = await get(path)
        if (status === 200) {
          const value = JSON.stringify({
            requestId: request.requestId, contractId: request.contractId, answer: body, retrievedAt: new Date()
          })
          return { topic: env.BENCH_RESULTS, message: { key: message.key, value } }
        }
        failed = new Error(`status ${status}`)
        if (status < 500 && status !== 429) break
      } catch (err) {
        failed = err
      }
    }
  } catch (err) {
    failed = err
  }
  const value = JSON.stringify({ reason: failed.message, request: message.value.toString('base64') })
  return { topic: env.BENCH_DEADLETTERS, message: { key: message.key, value } }
}

async function main () {
  const kafka = new Kafka({ clientId: 'kafkajs', brokers: env.BENCH_BROKERS.split(','), logLevel: logLevel.ERROR })
  const producer = kafka.producer()
  const consumer = kafka.consumer({ groupId: env.BENCH_GROUP, maxWaitTimeInMs: 100 })
  await Promise.all([producer.connect(), consumer.connect()])
  await consumer.subscribe({ topics: [env.BENCH_REQUESTS], fromBeginning: true })
  process.once('SIGTERM', async () => {
    await consumer.disconnect()
    await producer.disconnect()
    process.exit(0)
  })
  await consumer.run({
    partitionsConsumedConcurrently: partitions,
    eachBatchAutoResolve: false,
    autoCommitInterval: 1000,
    async eachBatch ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) {
      for (let i = 0; i < batch.messages.length && isRunning() && !isStale(); i += together) {
        const group = batch.messages.slice(i, i + together)
        const answers = await Promise.all(group.map(answer))
        const topics = new Map()
        for (const { topic, message } of answers) {
          topics.set(topic, (topics.get(topic) || []).concat(message))
        }
        await producer.sendBatch({
          acks: -1,
          compression: CompressionTypes.None,
          topicMessages: [...topics].map(([topic, messages]) => ({ topic, messages }))
        })
        resolveOffset(group[group.length - 1].offset)
        await commitOffsetsIfNecessary()
        await heartbeat()
      }
    }
  })
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
