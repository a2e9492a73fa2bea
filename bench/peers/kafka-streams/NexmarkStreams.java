import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;

/**
 * The queries of the benchmark in Kafka Streams; `programs/nexmark.ts` says the same.
 * Arguments: bootstrap, query, output topic, state directory, threads, commit interval in ms, disk or memory.
 */
public final class NexmarkStreams {
  static final Duration GRACE = Duration.ofMinutes(1);
  static final Duration COUNTED = Duration.ofSeconds(10);
  static final Duration MET = Duration.ofSeconds(1);

  public record Bid(long auction, long bidder, long price, long dateTime, String extra) {}

  public record Auction(
      long id,
      String itemName,
      long initialBid,
      long reserve,
      long dateTime,
      long expires,
      long seller,
      long category,
      String extra) {}

  public record WindowCount(long auction, long start, long bids) {}

  public record Met(long auction, long price, long category) {}

  public record WithAuction(long auction, long price, long category, long seller) {}

  public record SessionCount(long bidder, long start, long end, long bids) {}

  /** With a reader and a writer that are made once, which is the fast way to use Jackson. */
  static <T> Serde<T> json(Class<T> type) {
    ObjectMapper mapper = new ObjectMapper();
    ObjectReader reader = mapper.readerFor(type);
    ObjectWriter writer = mapper.writerFor(type);
    Serializer<T> serializer =
        (topic, value) -> {
          try {
            return value == null ? null : writer.writeValueAsBytes(value);
          } catch (Exception error) {
            throw new SerializationException(error);
          }
        };
    Deserializer<T> deserializer =
        (topic, bytes) -> {
          try {
            return bytes == null ? null : reader.readValue(bytes);
          } catch (Exception error) {
            throw new SerializationException(error);
          }
        };
    return Serdes.serdeFrom(serializer, deserializer);
  }

  static void build(StreamsBuilder builder, String query, String output) {
    Serde<Bid> bidSerde = json(Bid.class);
    Serde<Auction> auctionSerde = json(Auction.class);
    Serde<Long> idSerde = json(Long.class);
    KStream<byte[], Bid> bids =
        builder.stream("bids", Consumed.with(Serdes.ByteArray(), bidSerde));
    switch (query) {
      case "pass-through" -> bids.to(output, Produced.with(Serdes.ByteArray(), bidSerde));
      case "filter" ->
          bids.filter((key, bid) -> bid.auction() % 123 == 0)
              .to(output, Produced.with(Serdes.ByteArray(), bidSerde));
      case "currency" ->
          bids.mapValues(
                  bid ->
                      new Bid(
                          bid.auction(),
                          bid.bidder(),
                          Math.round(bid.price() * 908 / 1000.0),
                          bid.dateTime(),
                          bid.extra()))
              .to(output, Produced.with(Serdes.ByteArray(), bidSerde));
      case "windowed-count" ->
          bids.groupBy((key, bid) -> bid.auction(), Grouped.with(idSerde, bidSerde))
              .windowedBy(TimeWindows.ofSizeAndGrace(COUNTED, GRACE))
              .count()
              .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
              .toStream()
              .map(
                  (window, count) ->
                      row(new WindowCount(window.key(), window.window().start(), count)))
              .to(output, Produced.with(Serdes.ByteArray(), json(WindowCount.class)));
      case "stream-join" ->
          bids.selectKey((key, bid) -> bid.auction())
              .join(
                  builder.stream("auctions", Consumed.with(idSerde, auctionSerde)),
                  (bid, auction) -> new Met(bid.auction(), bid.price(), auction.category()),
                  JoinWindows.ofTimeDifferenceAndGrace(MET, GRACE).after(Duration.ZERO),
                  StreamJoined.with(idSerde, bidSerde, auctionSerde))
              .map((key, met) -> row(met))
              .to(output, Produced.with(Serdes.ByteArray(), json(Met.class)));
      case "table-join" ->
          bids.selectKey((key, bid) -> bid.auction())
              .join(
                  builder.table("auctions", Consumed.with(idSerde, auctionSerde)),
                  (bid, auction) ->
                      new WithAuction(
                          bid.auction(), bid.price(), auction.category(), auction.seller()),
                  Joined.with(idSerde, bidSerde, auctionSerde))
              .map((key, joined) -> row(joined))
              .to(output, Produced.with(Serdes.ByteArray(), json(WithAuction.class)));
      case "session" ->
          bids.groupBy((key, bid) -> bid.bidder(), Grouped.with(idSerde, bidSerde))
              .windowedBy(SessionWindows.ofInactivityGapAndGrace(COUNTED, GRACE))
              .count()
              .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
              .toStream()
              .map(
                  (window, count) ->
                      row(
                          new SessionCount(
                              window.key(),
                              window.window().start(),
                              window.window().end(),
                              count)))
              .to(output, Produced.with(Serdes.ByteArray(), json(SessionCount.class)));
      case "keys" ->
          bids.groupBy(
                  (key, bid) -> bid.dateTime() * 1000 + bid.price() % 1000,
                  Grouped.with(idSerde, bidSerde))
              .count()
              .toStream()
              .filter((key, count) -> key % 1000 == 0)
              .to(output, Produced.with(idSerde, json(Long.class)));
      default -> throw new IllegalArgumentException(query);
    }
  }

  static <T> KeyValue<byte[], T> row(T value) {
    return KeyValue.pair(null, value);
  }

  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, "nexmark");
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[4]);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[5]);
    config.put(
        StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG,
        args[6].equals("memory")
            ? BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class
            : BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers.class);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    // Otherwise a join does not wait for what comes through a repartition topic, and takes it for late then.
    config.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, 60_000);
    config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    // A restart need not wait for the end of a session.
    config.put(StreamsConfig.consumerPrefix("group.instance.id"), "nexmark");
    StreamsBuilder builder = new StreamsBuilder();
    build(builder, args[1], args[2]);
    KafkaStreams streams = new KafkaStreams(builder.build(), config);
    CountDownLatch ended = new CountDownLatch(1);
    streams.setStateListener(
        (now, before) -> {
          System.out.println("state " + now);
          if (now == KafkaStreams.State.ERROR) System.exit(1);
        });
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  streams.close(Duration.ofSeconds(20));
                  ended.countDown();
                }));
    streams.start();
    ended.await();
  }
}
