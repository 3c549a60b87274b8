import com.fasterxml.jackson.databind.*;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.*;
import org.springframework.kafka.core.*;
import org.springframework.kafka.listener.*;
import org.springframework.kafka.requestreply.*;
import org.springframework.kafka.support.*;

/**
 * Asks by Spring's own ReplyingKafkaTemplate from two instances, which share the results topic (each in a group of its
 * own) or have a partition of the reply topic each. Prints what came back, one JSON object for each way.
 *
 * <p>Usage: BROKERS=… java -cp 'lib/*' Callers.java REPLY_TOPIC CALLS FIRST_CONTRACT
 */
public class Callers {
  static final ObjectMapper JSON = new ObjectMapper();
  static final String BROKERS = System.getenv("BROKERS");
  static final Duration TIMEOUT = Duration.ofSeconds(60);

  final String way;
  final Map<String, byte[]> sent = new ConcurrentHashMap<>(); // correlation id by request id
  final AtomicInteger identical = new AtomicInteger(), misplaced = new AtomicInteger();

  Callers(String way) {
    this.way = way;
  }

  public static void main(String[] args) throws Exception {
    int calls = Integer.parseInt(args[1]);
    long first = Long.parseLong(args[2]);
    new Callers("shared").run(i -> {
      var properties = new ContainerProperties("balance.results");
      properties.setGroupId("callers-" + UUID.randomUUID());
      return properties;
    }, true, "balance.results", calls, first);
    new Callers("partition").run(i -> {
      var properties = new ContainerProperties(new TopicPartitionOffset(args[0], i, TopicPartitionOffset.SeekPosition.END));
      properties.setAckMode(ContainerProperties.AckMode.MANUAL);
      return properties;
    }, false, args[0], calls, first + calls);
    System.exit(0);
  }

  void run(java.util.function.IntFunction<ContainerProperties> reader, boolean shared, String topic, int calls, long first)
      throws Exception {
    var templates = new ArrayList<ReplyingKafkaTemplate<String, String, String>>();
    for (int i = 0; i < 2; i++) {
      templates.add(instance(reader.apply(i), shared, topic, i));
    }
    for (var template : templates) {
      if (!template.waitForAssignment(TIMEOUT)) {
        throw new IllegalStateException(way + ": no partitions are assigned");
      }
    }
    var replies = new ArrayList<RequestReplyFuture<String, String, String>>();
    var ids = new ArrayList<String>();
    for (int i = 0; i < calls; i++) {
      var contract = (i % 10 == 0 ? "404" : "") + (first + i);
      var id = way + "/" + first + "/" + i;
      var request = new ProducerRecord<>("balance.requests", contract, JSON.writeValueAsString(
          Map.of("contractId", contract, "balanceCodes", List.of("AVAILABLE"), "requestId", id)));
      var correlation = random();
      sent.put(id, correlation);
      NEXT.set(correlation);
      ids.add(id);
      replies.add(templates.get(i % 2).sendAndReceive(request, TIMEOUT));
    }
    int answered = 0, refused = 0;
    var wrong = new ArrayList<String>();
    for (int i = 0; i < calls; i++) {
      try {
        var result = JSON.readTree(replies.get(i).get().value());
        boolean own = ids.get(i).equals(result.path("requestId").asText()) && !result.path("outcome").asText().equals("failed");
        answered += own ? 1 : 0;
        if (!own) wrong.add(result.toString());
      } catch (ExecutionException e) {
        boolean announced = i % 10 == 0 && "contract-not-found".equals(e.getCause().getMessage());
        refused += announced ? 1 : 0;
        if (!announced) wrong.add(ids.get(i) + ": " + e.getCause());
      }
    }
    templates.forEach(ReplyingKafkaTemplate::destroy);
    System.out.println(JSON.writeValueAsString(Map.of("way", way, "calls", calls, "answered", answered, "refused", refused,
        "identical", identical.get(), "misplaced", misplaced.get(), "wrong", wrong.subList(0, Math.min(5, wrong.size())))));
  }

  static final ThreadLocal<byte[]> NEXT = new ThreadLocal<>();

  ReplyingKafkaTemplate<String, String, String> instance(ContainerProperties properties, boolean shared, String topic, int i) {
    var consumers = new DefaultKafkaConsumerFactory<>(Map.<String, Object>of("bootstrap.servers", BROKERS,
        "isolation.level", "read_committed", "auto.offset.reset", "latest"), new StringDeserializer(), new StringDeserializer());
    var producers = new DefaultKafkaProducerFactory<>(Map.<String, Object>of("bootstrap.servers", BROKERS),
        new StringSerializer(), new StringSerializer());
    var template = new ReplyingKafkaTemplate<>(producers, new KafkaMessageListenerContainer<>(consumers, properties));
    template.setSharedReplyTopic(shared);
    template.setCorrelationIdStrategy(record -> new CorrelationKey(NEXT.get()));
    template.setReplyErrorChecker(reply -> check(reply, topic, shared ? reply.partition() : i));
    template.start();
    return template;
  }

  /** 16 random bytes, as Spring's own ids are; some of them begin with what text would not survive. */
  static byte[] random() {
    var id = UUID.randomUUID();
    return ByteBuffer.allocate(16).putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits()).array();
  }

  Exception check(ConsumerRecord<?, ?> reply, String topic, int partition) {
    try {
      var result = JSON.readTree((String) reply.value());
      var correlation = reply.headers().lastHeader(KafkaHeaders.CORRELATION_ID).value();
      if (Arrays.equals(correlation, sent.get(result.path("requestId").asText()))) {
        identical.incrementAndGet();
      }
      if (!reply.topic().equals(topic) || reply.partition() != partition) {
        misplaced.incrementAndGet();
      }
      return result.path("outcome").asText().equals("failed") ? new IllegalStateException(result.path("reason").asText()) : null;
    } catch (Exception e) {
      return e;
    }
  }
}
