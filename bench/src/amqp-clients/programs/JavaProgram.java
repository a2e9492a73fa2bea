import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcClientParams;
import com.rabbitmq.client.RpcServer;
import com.rabbitmq.client.ShutdownSignalException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** An application with RabbitMQ's client for Java. Each case says `pass <name>`, or `fail <name>: <why>`. */
public final class JavaProgram {
  private static final int TIMEOUT_S = 30;

  private interface Case {
    void run() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    Map<String, Case> cases = new LinkedHashMap<>();
    cases.put("confirms with callbacks", JavaProgram::confirms);
    cases.put("returns and full queues", JavaProgram::returns);
    cases.put("prefetch", JavaProgram::prefetch);
    cases.put("properties", JavaProgram::properties);
    cases.put("channel errors", JavaProgram::channelErrors);
    cases.put("request and reply", JavaProgram::requestAndReply);
    cases.put("transactions", JavaProgram::transactions);
    cases.put("NIO and many channels", JavaProgram::manyChannels);
    cases.put("a cancelled consumer", JavaProgram::cancelled);
    cases.put("connection and topology come back", JavaProgram::recovery);
    boolean failed = false;
    for (Map.Entry<String, Case> one : cases.entrySet()) {
      try {
        one.getValue().run();
        System.out.println("pass " + one.getKey());
      } catch (Throwable error) {
        failed = true;
        error.printStackTrace();
        System.out.println("fail " + one.getKey() + ": " + String.valueOf(error).replace('\n', ' '));
      }
    }
    System.exit(failed ? 1 : 0);
  }

  private static ConnectionFactory factory() {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setHost(System.getenv("AMQP_HOST"));
    factory.setPort(Integer.parseInt(System.getenv("AMQP_PORT")));
    factory.setNetworkRecoveryInterval(200);
    return factory;
  }

  private static void confirms() throws Exception {
    try (Connection connection = factory().newConnection("confirms")) {
      Channel channel = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      ConcurrentSkipListSet<Long> unconfirmed = new ConcurrentSkipListSet<>();
      CountDownLatch nacks = new CountDownLatch(1);
      channel.confirmSelect();
      channel.addConfirmListener(
          (tag, multiple) -> {
            if (multiple) unconfirmed.headSet(tag, true).clear();
            else unconfirmed.remove(tag);
          },
          (tag, multiple) -> nacks.countDown());
      for (int n = 0; n < 5_000; n++) {
        unconfirmed.add(channel.getNextPublishSeqNo());
        channel.basicPublish("", queue, null, bytes("m" + n));
      }
      channel.waitForConfirmsOrDie(TIMEOUT_S * 1000L);
      check(unconfirmed.isEmpty() && nacks.getCount() == 1, "unconfirmed: " + unconfirmed);
      check(channel.messageCount(queue) == 5_000, "counted " + channel.messageCount(queue));
    }
  }

  private static void returns() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      channel.confirmSelect();
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      channel.addReturnListener((code, text, exchange, key, properties, body) -> heard.add("return " + code));
      channel.addConfirmListener((tag, multiple) -> heard.add("ack"), (tag, multiple) -> heard.add("nack"));
      channel.basicPublish("", UUID.randomUUID().toString(), true, null, bytes("lost"));
      check("return 312".equals(next(heard)), "a return comes before its confirm");
      check("ack".equals(next(heard)), "and then the confirm");
      Map<String, Object> full = Map.of("x-max-length", 1, "x-overflow", "reject-publish");
      String queue = channel.queueDeclare("", false, true, true, full).getQueue();
      channel.basicPublish("", queue, null, bytes("first"));
      check("ack".equals(next(heard)), "there is room for one");
      channel.basicPublish("", queue, null, bytes("second"));
      check("nack".equals(next(heard)), "and not for two");
    }
  }

  private static void prefetch() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      for (int n = 0; n < 10; n++) channel.basicPublish("", queue, null, bytes("" + n));
      channel.basicQos(4);
      BlockingQueue<Long> tags = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, (tag, message) -> tags.add(message.getEnvelope().getDeliveryTag()), tag -> {});
      long last = 0;
      for (int n = 0; n < 4; n++) last = next(tags);
      check(channel.messageCount(queue) == 6, "six wait");
      channel.basicAck(last, true);
      for (int n = 0; n < 4; n++) last = next(tags);
      check(channel.messageCount(queue) == 2, "two wait");
      channel.basicNack(last, true, true);
      for (int n = 0; n < 4; n++) next(tags);
    }
  }

  private static void properties() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      Map<String, Object> headers = new LinkedHashMap<>();
      headers.put("int", 1);
      headers.put("long", 1L << 40);
      headers.put("short", (short) 3);
      headers.put("byte", (byte) 4);
      headers.put("double", 1.5);
      headers.put("float", 2.5f);
      headers.put("bool", true);
      headers.put("null", null);
      headers.put("decimal", new java.math.BigDecimal("12.34"));
      headers.put("date", new Date(1_000_000_000_000L));
      headers.put("list", List.of(1, 2L));
      headers.put("table", Map.of("a", 1));
      AMQP.BasicProperties sent =
          new AMQP.BasicProperties.Builder()
              .contentType("text/plain").contentEncoding("utf-8").headers(headers).deliveryMode(2).priority(3)
              .correlationId("c").replyTo("r").expiration("60000").messageId("m")
              .timestamp(new Date(1_000_000_000_000L)).type("t").userId("guest").appId("a").build();
      channel.basicPublish("", queue, sent, bytes("body"));
      AMQP.BasicProperties got = channel.basicGet(queue, true).getProps();
      check(got.equals(sent), got + " is not " + sent);
    }
  }

  private static void channelErrors() throws Exception {
    try (Connection connection = factory().newConnection()) {
      expectClose(404, () -> connection.createChannel().queueDeclarePassive(UUID.randomUUID().toString()));
      expectClose(406, () -> connection.createChannel().exchangeDeclare("amq.direct", "fanout", true));
      expectClose(403, () -> connection.createChannel().exchangeDeclare("amq.mine", "direct"));
      Channel channel = connection.createChannel();
      CountDownLatch closed = new CountDownLatch(1);
      channel.addShutdownListener(cause -> closed.countDown());
      channel.basicAck(17, false);
      check(closed.await(TIMEOUT_S, TimeUnit.SECONDS), "an unknown delivery tag closes its channel");
      check(connection.isOpen(), "the connection stays");
      connection.createChannel().queueDeclare();
    }
  }

  private static void expectClose(int code, Case wrong) throws Exception {
    try {
      wrong.run();
    } catch (java.io.IOException error) {
      AMQP.Channel.Close close =
          (AMQP.Channel.Close) ((ShutdownSignalException) error.getCause()).getReason();
      check(close.getReplyCode() == code, close + " is not " + code);
      return;
    }
    throw new AssertionError("no " + code);
  }

  private static void requestAndReply() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel serving = connection.createChannel();
      RpcServer server =
          new RpcServer(serving, serving.queueDeclare().getQueue()) {
            @Override
            public byte[] handleCall(byte[] request, AMQP.BasicProperties properties) {
              return bytes(new String(request, StandardCharsets.UTF_8).toUpperCase());
            }
          };
      Thread loop =
          new Thread(
              () -> {
                try {
                  server.mainloop();
                } catch (ShutdownSignalException | java.io.IOException over) {
                  // The connection was closed.
                }
              });
      loop.setDaemon(true);
      loop.start();
      RpcClient client =
          new RpcClient(
              new RpcClientParams()
                  .channel(connection.createChannel()).exchange("").routingKey(server.getQueueName())
                  .replyTo("amq.rabbitmq.reply-to").timeout(TIMEOUT_S * 1000));
      for (int n = 0; n < 20; n++) check(client.stringCall("call " + n).equals("CALL " + n), "call " + n);
    }
  }

  private static void transactions() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      Channel other = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      channel.txSelect();
      channel.basicPublish("", queue, null, bytes("undone"));
      channel.txRollback();
      channel.basicPublish("", queue, null, bytes("done"));
      check(other.basicGet(queue, true) == null, "nothing before the commit");
      channel.txCommit();
      check(new String(other.basicGet(queue, true).getBody()).equals("done"), "one after it");
    }
  }

  private static void manyChannels() throws Exception {
    ConnectionFactory factory = factory();
    factory.useNio();
    try (Connection connection = factory.newConnection()) {
      List<Channel> channels = new ArrayList<>();
      for (int n = 0; n < 200; n++) channels.add(connection.createChannel());
      String exchange = UUID.randomUUID().toString();
      channels.get(0).exchangeDeclare(exchange, BuiltinExchangeType.FANOUT, false, true, null);
      CountDownLatch got = new CountDownLatch(200);
      for (Channel channel : channels) {
        String queue = channel.queueDeclare().getQueue();
        channel.queueBind(queue, exchange, "");
        channel.basicConsume(queue, true, (tag, message) -> got.countDown(), tag -> {});
      }
      channels.get(0).basicPublish(exchange, "", null, new byte[300_000]);
      check(got.await(TIMEOUT_S, TimeUnit.SECONDS), got.getCount() + " did not get it");
    }
  }

  private static void cancelled() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, "mine", (tag, message) -> {}, heard::add);
      connection.createChannel().queueDelete(queue);
      check("mine".equals(next(heard)), "the consumer is told");
    }
  }

  private static void recovery() throws Exception {
    ConnectionFactory factory = factory();
    factory.setRequestedHeartbeat(5);
    try (Connection connection = factory.newConnection("recovery")) {
      CountDownLatch recovered = new CountDownLatch(1);
      ((Recoverable) connection).addRecoveryListener(
          new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable whole) {
              recovered.countDown();
            }

            @Override
            public void handleRecoveryStarted(Recoverable whole) {}
          });
      Channel channel = connection.createChannel();
      String exchange = UUID.randomUUID().toString();
      String durable = UUID.randomUUID().toString();
      channel.exchangeDeclare(exchange, BuiltinExchangeType.TOPIC, false, true, null);
      channel.queueDeclare(durable, true, false, false, null);
      String named = channel.queueDeclare().getQueue();
      channel.queueBind(durable, exchange, "d.#");
      channel.queueBind(named, exchange, "n.#");
      channel.confirmSelect();
      channel.basicPublish(exchange, "d.1", com.rabbitmq.client.MessageProperties.PERSISTENT_BASIC, bytes("kept"));
      channel.waitForConfirmsOrDie(TIMEOUT_S * 1000L);
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      channel.basicQos(10);
      channel.basicConsume(
          named,
          false,
          new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
                throws java.io.IOException {
              heard.add(new String(body));
              getChannel().basicAck(envelope.getDeliveryTag(), false);
            }
          });
      channel.basicPublish(exchange, "n.1", null, bytes("before"));
      check("before".equals(next(heard)), "it works before");

      System.out.println("restart the broker");
      System.in.read();
      check(recovered.await(TIMEOUT_S, TimeUnit.SECONDS), "the connection did not come back");

      channel.basicPublish(exchange, "n.2", null, bytes("behind"));
      channel.waitForConfirmsOrDie(TIMEOUT_S * 1000L);
      check("behind".equals(next(heard)), "exchange, queue, binding and consumer are there again");
      check(new String(channel.basicGet(durable, true).getBody()).equals("kept"), "what was confirmed is there");
      channel.basicPublish(exchange, "d.2", null, bytes("d"));
      channel.waitForConfirmsOrDie(TIMEOUT_S * 1000L);
      check(channel.queueDelete(durable).getMessageCount() == 1, "the durable queue is bound again");
    } catch (AlreadyClosedException closed) {
      throw new AssertionError("the channel did not come back", closed);
    }
  }

  private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
    T one = queue.poll(TIMEOUT_S, TimeUnit.SECONDS);
    check(one != null, "nothing came");
    return one;
  }

  private static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
