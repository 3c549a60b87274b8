import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventSerializer;
import io.cloudevents.kafka.KafkaMessageFactory;
import io.cloudevents.kafka.PartitionKeyExtensionInterceptor;
import java.net.URI;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * CloudEvents' SDK for Java writes requests in every way it has, or reads topics and passes the events on as JSON.
 *
 * <p>Usage: BROKERS=… java -cp 'lib/*' Events.java write CONTRACT… | read TOPIC COUNT …
 */
public class Events {
  static final ObjectMapper JSON = new ObjectMapper();
  static final String BROKERS = System.getenv("BROKERS");

  public static void main(String[] args) throws Exception {
    var rest = Arrays.copyOfRange(args, 1, args.length);
    if (args[0].equals("write")) {
      write("binary", Encoding.BINARY, new JsonFormat(), rest);
      write("structured", Encoding.STRUCTURED, new JsonFormat(), rest);
      write("base64", Encoding.STRUCTURED, new JsonFormat().withForceJsonDataToBase64(), rest);
    } else {
      read(rest);
    }
  }

  static void write(String way, Encoding encoding, JsonFormat format, String... contracts) throws Exception {
    var config = Map.<String, Object>of("bootstrap.servers", BROKERS,
        CloudEventSerializer.ENCODING_CONFIG, encoding, CloudEventSerializer.EVENT_FORMAT_CONFIG, format,
        "interceptor.classes", PartitionKeyExtensionInterceptor.class.getName()); // its partitionkey becomes the key
    var values = new CloudEventSerializer();
    values.configure(config, false);
    try (var sender = new KafkaProducer<Object, CloudEvent>(config, (topic, key) -> ((String) key).getBytes(), values)) {
      for (var contract : contracts) {
        var data = JSON.writeValueAsBytes(Map.of("contractId", contract, "balanceCodes", List.of("AVAILABLE", "BLOCKED")));
        var event = CloudEventBuilder.v1().withId("java-" + way + "-" + contract).withSource(URI.create("/statements"))
            .withType("example.balance.requested").withTime(OffsetDateTime.now(ZoneOffset.UTC))
            .withData("application/json", data)
            .withExtension("partitionkey", contract)
            .withExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
            .withExtension("attempt", 3)
            .build();
        sender.send(new ProducerRecord<>("balance.requests", event)).get();
      }
    }
  }

  static CloudEvent toEvent(ConsumerRecord<byte[], byte[]> record) {
    return KafkaMessageFactory.createReader(record).toEvent(); // or CloudEventDeserializer as value.deserializer
  }

  static void read(String... counts) {
    var missing = new HashMap<String, Integer>();
    for (int i = 0; i < counts.length; i += 2) {
      missing.put(counts[i], Integer.parseInt(counts[i + 1]));
    }
    try (var reader = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", BROKERS,
        "isolation.level", "read_committed"), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      var all = missing.keySet().stream().flatMap(topic -> reader.partitionsFor(topic).stream())
          .map(p -> new TopicPartition(p.topic(), p.partition())).toList();
      reader.assign(all);
      reader.seekToBeginning(all);
      while (missing.values().stream().anyMatch(n -> n > 0)) {
        for (var record : reader.poll(Duration.ofMillis(100))) {
          var line = JSON.createObjectNode()
              .put("at", record.topic() + "/" + record.partition() + "/" + record.offset());
          try {
            line.set("event", JSON.readTree(new JsonFormat().serialize(toEvent(record))));
          } catch (Exception e) {
            line.put("error", e.toString());
          }
          System.out.println(line);
          missing.merge(record.topic(), -1, Integer::sum);
        }
      }
    }
  }
}
