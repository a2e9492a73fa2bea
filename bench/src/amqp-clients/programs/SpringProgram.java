import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.AcknowledgeMode;
import org.springframework.amqp.core.AnonymousQueue;
import org.springframework.amqp.core.BatchMessageListener;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.DirectExchange;
import org.springframework.amqp.core.ExchangeBuilder;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.MessageDeliveryMode;
import org.springframework.amqp.core.MessageListener;
import org.springframework.amqp.core.MessageProperties;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.batch.SimpleBatchingStrategy;
import org.springframework.amqp.rabbit.config.RetryInterceptorBuilder;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory.ConfirmType;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.BatchingRabbitTemplate;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.AbstractMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.DirectMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.adapter.MessageListenerAdapter;
import org.springframework.amqp.rabbit.listener.api.ChannelAwareMessageListener;
import org.springframework.amqp.rabbit.retry.RepublishMessageRecoverer;
import org.springframework.amqp.rabbit.transaction.RabbitTransactionManager;
import org.springframework.context.support.GenericApplicationContext;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.transaction.support.TransactionTemplate;

/** An application with Spring AMQP, without Spring Boot. Each case says `pass <name>`, or `fail <name>: <why>`. */
public final class SpringProgram {
  private static final int TIMEOUT_S = 30;

  private interface Case {
    void run(Application application) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    java.util.logging.LogManager.getLogManager().reset();
    Map<String, Case> cases = new LinkedHashMap<>();
    cases.put("declarables", SpringProgram::declarables);
    cases.put("confirms and returns with correlation", SpringProgram::correlatedConfirms);
    cases.put("confirms within a scope", SpringProgram::scopedConfirms);
    cases.put("properties", SpringProgram::properties);
    cases.put("listeners, requeue and dead letters", SpringProgram::listeners);
    cases.put("direct listeners with manual acknowledgement", SpringProgram::directListeners);
    cases.put("retries, then another queue", SpringProgram::retries);
    cases.put("batches of consumers", SpringProgram::consumerBatches);
    cases.put("batches of producers", SpringProgram::producerBatches);
    cases.put("delayed messages", SpringProgram::delayedMessages);
    cases.put("request and reply", SpringProgram::requestAndReply);
    cases.put("transactions", SpringProgram::transactions);
    cases.put("streams", SpringProgram::streams);
    cases.put("queues that come and go", SpringProgram::queuesThatComeAndGo);
    cases.put("mistakes", SpringProgram::mistakes);
    cases.put("the broker comes back", SpringProgram::theBrokerComesBack);
    boolean failed = false;
    for (Map.Entry<String, Case> one : cases.entrySet()) {
      try (Application application = new Application()) {
        one.getValue().run(application);
        System.out.println("pass " + one.getKey());
      } catch (Throwable error) {
        failed = true;
        error.printStackTrace();
        Throwable cause = error;
        while (cause.getCause() != null) cause = cause.getCause();
        System.out.println("fail " + one.getKey() + ": " + String.valueOf(cause).replace('\n', ' '));
      }
    }
    System.exit(failed ? 1 : 0);
  }

  /** A connection, the admin that declares what is a bean whenever the connection is new, and a template. */
  private static final class Application implements AutoCloseable {
    final CachingConnectionFactory connections = connections();
    final RabbitAdmin admin = new RabbitAdmin(connections);
    final RabbitTemplate template = new RabbitTemplate(connections);
    private final List<AbstractMessageListenerContainer> containers = new ArrayList<>();
    private final List<GenericApplicationContext> contexts = new ArrayList<>();

    Application() {
      template.setReceiveTimeout(TIMEOUT_S * 1000L);
      template.setReplyTimeout(TIMEOUT_S * 1000L);
    }

    static CachingConnectionFactory connections() {
      CachingConnectionFactory factory =
          new CachingConnectionFactory(System.getenv("AMQP_HOST"), Integer.parseInt(System.getenv("AMQP_PORT")));
      factory.setPublisherConfirmType(ConfirmType.CORRELATED);
      factory.setPublisherReturns(true);
      factory.setRequestedHeartBeat(5);
      return factory;
    }

    /** Declares it, and declares it again with each new connection. */
    void declare(org.springframework.amqp.core.Declarable... declarables) {
      GenericApplicationContext context = new GenericApplicationContext();
      context.registerBean(Declarables.class, () -> new Declarables(declarables));
      context.refresh();
      contexts.add(context);
      admin.setApplicationContext(context);
      admin.afterPropertiesSet();
      admin.initialize();
    }

    /** Exclusive, but it outlives its consumers. */
    Queue queue() {
      Queue queue = QueueBuilder.nonDurable(unique()).exclusive().build();
      admin.declareQueue(queue);
      return queue;
    }

    <T extends AbstractMessageListenerContainer> T listen(T container, String queue, MessageListener listener) {
      container.setConnectionFactory(connections);
      container.setQueueNames(queue);
      container.setAmqpAdmin(admin);
      container.setMessageListener(listener);
      container.setRecoveryInterval(200);
      container.afterPropertiesSet();
      container.start();
      containers.add(container);
      return container;
    }

    @Override
    public void close() {
      for (AbstractMessageListenerContainer container : containers) container.destroy();
      for (GenericApplicationContext context : contexts) context.close();
      connections.destroy();
    }
  }

  private static void declarables(Application application) throws Exception {
    Queue queue = QueueBuilder.nonDurable(unique()).exclusive().autoDelete().maxLength(2).maxPriority(5).build();
    TopicExchange exchange = ExchangeBuilder.topicExchange(unique()).autoDelete().build();
    DirectExchange behind = ExchangeBuilder.directExchange(unique()).autoDelete().build();
    application.declare(
        queue, exchange, behind,
        BindingBuilder.bind(behind).to(exchange).with("a.#"),
        BindingBuilder.bind(queue).to(behind).with("a.b"));
    for (String key : List.of("a.b", "a.c", "a.b", "a.b")) application.template.convertAndSend(exchange.getName(), key, key);
    until(() -> application.admin.getQueueInfo(queue.getName()).getMessageCount() == 2, "two are kept");
    check(application.admin.getQueueInfo(queue.getName()).getConsumerCount() == 0, "nobody consumes");
    check(application.admin.getQueueInfo(unique()) == null, "what is not there has no information");
    check(application.admin.purgeQueue(queue.getName()) == 2, "purged");
    application.admin.removeBinding(BindingBuilder.bind(queue).to(behind).with("a.b"));
    check(application.admin.deleteExchange(exchange.getName()), "deleted");
    check(application.admin.deleteQueue(queue.getName()), "deleted");
  }

  private static void correlatedConfirms(Application application) throws Exception {
    application.template.setMandatory(true);
    Queue full = QueueBuilder.nonDurable(unique()).exclusive().maxLength(1).overflow(QueueBuilder.Overflow.rejectPublish).build();
    application.admin.declareQueue(full);
    CorrelationData taken = new CorrelationData();
    application.template.convertAndSend("", full.getName(), "first", taken);
    check(confirm(taken).ack() && taken.getReturned() == null, "there is room for one");
    CorrelationData refused = new CorrelationData();
    application.template.convertAndSend("", full.getName(), "second", refused);
    check(!confirm(refused).ack(), "and not for two");
    CorrelationData lost = new CorrelationData();
    application.template.convertAndSend("", unique(), "lost", lost);
    check(confirm(lost).ack() && lost.getReturned().getReplyCode() == 312, "returned");
    CorrelationData nowhere = new CorrelationData();
    application.template.convertAndSend(unique(), "key", "nowhere", nowhere);
    check(!confirm(nowhere).ack(), "no exchange, no confirm");
    List<CorrelationData> many = new ArrayList<>();
    for (int n = 0; n < 1_000; n++) {
      many.add(new CorrelationData());
      application.template.convertAndSend("amq.fanout", "", "m" + n, many.get(n));
    }
    for (CorrelationData one : many) check(confirm(one).ack(), "confirmed");
  }

  private static void scopedConfirms(Application application) throws Exception {
    CachingConnectionFactory connections = Application.connections();
    connections.setPublisherConfirmType(ConfirmType.SIMPLE);
    String queue = application.queue().getName();
    RabbitTemplate template = new RabbitTemplate(connections);
    // The queue is exclusive to the other connection: publishing to it is not.
    boolean confirmed =
        template.invoke(
            operations -> {
              for (int n = 0; n < 100; n++) operations.convertAndSend(queue, "m" + n);
              return operations.waitForConfirms(TIMEOUT_S * 1000L);
            });
    check(confirmed, "all are confirmed");
    check(application.admin.getQueueInfo(queue).getMessageCount() == 100, "and there");
    connections.destroy();
  }

  private static void properties(Application application) throws Exception {
    String queue = application.queue().getName();
    Map<String, Object> headers = new LinkedHashMap<>();
    headers.put("int", 1);
    headers.put("long", 1L << 40);
    headers.put("short", (short) 3);
    headers.put("byte", (byte) 4);
    headers.put("double", 1.5);
    headers.put("float", 2.5f);
    headers.put("bool", true);
    headers.put("decimal", new java.math.BigDecimal("12.34"));
    headers.put("date", new Date(1_000_000_000_000L));
    headers.put("list", List.of(1, "two", List.of(3L)));
    headers.put("table", Map.of("a", Map.of("b", 1)));
    headers.put("bytes", new byte[] {1, 2});
    byte[] body = new byte[3_000_000];
    Arrays.fill(body, (byte) 7);
    Message sent =
        MessageBuilder.withBody(body).copyHeaders(headers).setContentType("application/x-it").setContentEncoding("gzip")
            .setDeliveryMode(MessageDeliveryMode.PERSISTENT).setPriority(3).setCorrelationId("c").setReplyTo("r")
            .setExpiration("60000").setMessageId("m").setTimestamp(new Date(1_000_000_000_000L)).setType("t")
            .setUserId("guest").setAppId("a").build();
    application.template.send(queue, sent);
    Message got = application.template.receive(queue);
    check(Arrays.equals(body, got.getBody()), "the body");
    MessageProperties properties = got.getMessageProperties();
    check(Arrays.equals((byte[]) headers.remove("bytes"), properties.<byte[]>getHeader("bytes")), "bytes");
    for (Map.Entry<String, Object> header : headers.entrySet())
      check(header.getValue().equals(properties.getHeader(header.getKey())), header + " is " + properties.getHeader(header.getKey()));
    List<Object> one = List.of("c", "r", "60000", "m", "t", "guest", "a", 3, "gzip", "application/x-it");
    List<Object> other =
        List.of(
            properties.getCorrelationId(), properties.getReplyTo(), properties.getExpiration(), properties.getMessageId(),
            properties.getType(), properties.getReceivedUserId(), properties.getAppId(), properties.getPriority(),
            properties.getContentEncoding(), properties.getContentType());
    check(one.equals(other), other.toString());
  }

  private static void listeners(Application application) throws Exception {
    Queue dead = application.queue();
    Queue queue = QueueBuilder.nonDurable(unique()).exclusive().deadLetterExchange("").deadLetterRoutingKey(dead.getName()).build();
    application.admin.declareQueue(queue);
    BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer();
    container.setConcurrentConsumers(2);
    container.setPrefetchCount(5);
    application.listen(
        container,
        queue.getName(),
        message -> {
          String text = text(message);
          boolean again = message.getMessageProperties().getRedelivered();
          heard.add(text + (again ? " again" : ""));
          if (text.equals("bad")) throw new AmqpRejectAndDontRequeueException("as it should");
          if (text.equals("once more") && !again) throw new IllegalStateException("as it should");
        });
    for (String text : List.of("good", "bad", "once more")) application.template.convertAndSend(queue.getName(), text);
    List<String> all = new ArrayList<>();
    while (!all.contains("once more again")) all.add(next(heard));
    all.sort(null);
    check(all.equals(List.of("bad", "good", "once more", "once more again")), all.toString());
    Message letter = application.template.receive(dead.getName());
    check("rejected".equals(letter.getMessageProperties().getXDeathHeader().get(0).get("reason")), "why it died");
    container.setConcurrentConsumers(4);
    until(() -> application.admin.getQueueInfo(queue.getName()).getConsumerCount() == 4, "more consumers");
    container.stop();
    until(() -> application.admin.getQueueInfo(queue.getName()).getConsumerCount() == 0, "none");
  }

  private static void directListeners(Application application) throws Exception {
    String queue = application.queue().getName();
    DirectMessageListenerContainer container = new DirectMessageListenerContainer();
    container.setAcknowledgeMode(AcknowledgeMode.MANUAL);
    container.setConsumersPerQueue(2);
    container.setPrefetchCount(10);
    container.setMessagesPerAck(0);
    CountDownLatch got = new CountDownLatch(101);
    ChannelAwareMessageListener listener =
        (message, channel) -> {
          MessageProperties properties = message.getMessageProperties();
          if (text(message).equals("m50") && !properties.getRedelivered()) channel.basicNack(properties.getDeliveryTag(), false, true);
          else channel.basicAck(properties.getDeliveryTag(), false);
          got.countDown();
        };
    application.listen(container, queue, listener);
    for (int n = 0; n < 100; n++) application.template.convertAndSend(queue, "m" + n);
    check(got.await(TIMEOUT_S, TimeUnit.SECONDS), got.getCount() + " did not come");
    container.stop();
    until(() -> application.admin.getQueueInfo(queue).getMessageCount() == 0, "all are acknowledged");
  }

  private static void retries(Application application) throws Exception {
    Queue queue = application.queue();
    Queue failed = application.queue();
    BlockingQueue<String> tried = new LinkedBlockingQueue<>();
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer();
    container.setAdviceChain(
        RetryInterceptorBuilder.stateless().maxRetries(2).backOffOptions(10, 2, 100)
            .recoverer(new RepublishMessageRecoverer(application.template, "", failed.getName())).build());
    application.listen(
        container,
        queue.getName(),
        message -> {
          tried.add(text(message));
          throw new IllegalStateException("as it should");
        });
    application.template.convertAndSend(queue.getName(), "m");
    Message message = application.template.receive(failed.getName());
    check(tried.size() == 3, "tried " + tried);
    check(message.getMessageProperties().getHeader(RepublishMessageRecoverer.X_ORIGINAL_ROUTING_KEY).equals(queue.getName()), "from where");
  }

  private static void consumerBatches(Application application) throws Exception {
    String queue = application.queue().getName();
    for (int n = 0; n < 25; n++) application.template.convertAndSend(queue, "m" + n);
    BlockingQueue<Integer> sizes = new LinkedBlockingQueue<>();
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer();
    container.setConsumerBatchEnabled(true);
    container.setBatchSize(10);
    container.setPrefetchCount(50);
    container.setReceiveTimeout(200);
    BatchMessageListener listener = messages -> sizes.add(messages.size());
    application.listen(container, queue, listener);
    int sum = 0;
    while (sum < 25) sum += next(sizes);
    check(sum == 25, "all came, once");
    container.stop();
    check(application.admin.getQueueInfo(queue).getMessageCount() == 0, "all are acknowledged");
  }

  private static void producerBatches(Application application) throws Exception {
    String queue = application.queue().getName();
    ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
    scheduler.initialize();
    BatchingRabbitTemplate batching =
        new BatchingRabbitTemplate(application.connections, new SimpleBatchingStrategy(4, 100_000, 200), scheduler);
    for (int n = 0; n < 6; n++) batching.convertAndSend("", queue, "m" + n);
    BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    application.listen(new SimpleMessageListenerContainer(), queue, message -> heard.add(text(message)));
    for (int n = 0; n < 6; n++) check(next(heard).equals("m" + n), "in order");
    scheduler.shutdown();
  }

  private static void delayedMessages(Application application) throws Exception {
    Map<String, Object> server =
        application.connections.createConnection().getDelegate().getServerProperties();
    // RabbitMQ has such exchanges by a plugin only.
    if (String.valueOf(server.get("platform")).contains("Erlang")) return;
    Queue queue = application.queue();
    DirectExchange exchange = ExchangeBuilder.directExchange(unique()).delayed().autoDelete().build();
    application.declare(exchange);
    application.admin.declareBinding(BindingBuilder.bind(queue).to(exchange).with("k"));
    long sentAt = System.nanoTime();
    for (long delay : new long[] {600, 300, 0})
      application.template.convertAndSend(
          exchange.getName(),
          "k",
          "after " + delay,
          message -> {
            message.getMessageProperties().setDelayLong(delay);
            return message;
          });
    for (long delay : new long[] {0, 300, 600}) {
      Message message = application.template.receive(queue.getName());
      check(text(message).equals("after " + delay), text(message));
      check(System.nanoTime() - sentAt >= delay * 1_000_000, "not before its time");
    }
  }

  private static void requestAndReply(Application application) throws Exception {
    Queue queue = application.queue();
    MessageListenerAdapter listener =
        new MessageListenerAdapter(
            new Object() {
              @SuppressWarnings("unused")
              public String handleMessage(String request) {
                return request.toUpperCase();
              }
            });
    application.listen(new SimpleMessageListenerContainer(), queue.getName(), listener);
    RabbitTemplate direct = application.template;
    RabbitTemplate withoutContainer = new RabbitTemplate(application.connections);
    withoutContainer.setUseDirectReplyToContainer(false);
    RabbitTemplate temporary = new RabbitTemplate(application.connections);
    temporary.setUseTemporaryReplyQueues(true);
    for (RabbitTemplate template : List.of(direct, withoutContainer, temporary)) {
      template.setReplyTimeout(TIMEOUT_S * 1000L);
      for (int n = 0; n < 20; n++)
        check(("CALL " + n).equals(template.convertSendAndReceive("", queue.getName(), "call " + n)), "call " + n);
    }
    RabbitTemplate fixed = new RabbitTemplate(application.connections);
    Queue replies = application.queue();
    fixed.setReplyAddress(replies.getName());
    fixed.setReplyTimeout(TIMEOUT_S * 1000L);
    application.listen(new SimpleMessageListenerContainer(), replies.getName(), fixed);
    check("X".equals(fixed.convertSendAndReceive("", queue.getName(), "x")), "by a queue of its own");
    direct.setReplyTimeout(100);
    check(direct.convertSendAndReceive("", application.queue().getName(), "x") == null, "nobody answers");
    direct.stop();
  }

  private static void transactions(Application application) throws Exception {
    CachingConnectionFactory connections = Application.connections();
    connections.setPublisherConfirmType(ConfirmType.NONE);
    connections.setPublisherReturns(false);
    RabbitTemplate template = new RabbitTemplate(connections);
    template.setChannelTransacted(true);
    TransactionTemplate transaction = new TransactionTemplate(new RabbitTransactionManager(connections));
    RabbitAdmin admin = new RabbitAdmin(connections);
    Queue from = QueueBuilder.nonDurable(unique()).exclusive().build();
    Queue to = QueueBuilder.nonDurable(unique()).exclusive().build();
    admin.declareQueue(from);
    admin.declareQueue(to);
    template.convertAndSend(from.getName(), "m");
    transaction.executeWithoutResult(
        status -> {
          template.convertAndSend(to.getName(), template.receiveAndConvert(from.getName(), TIMEOUT_S * 1000L));
          status.setRollbackOnly();
        });
    check(admin.getQueueInfo(to.getName()).getMessageCount() == 0, "undone");
    transaction.executeWithoutResult(
        status -> template.convertAndSend(to.getName(), template.receiveAndConvert(from.getName(), TIMEOUT_S * 1000L)));
    check("m".equals(template.receiveAndConvert(to.getName(), TIMEOUT_S * 1000L)), "done");
    check(template.receive(from.getName()) == null, "and taken");
    connections.destroy();
  }

  private static void streams(Application application) throws Exception {
    Queue stream = QueueBuilder.durable(unique()).stream().withArgument("x-max-age", "1h").build();
    application.admin.declareQueue(stream);
    for (int n = 0; n < 10; n++) {
      CorrelationData data = new CorrelationData();
      application.template.convertAndSend("", stream.getName(), "m" + n, data);
      check(confirm(data).ack(), "confirmed");
    }
    for (Object offset : List.of("first", 6L, new Date(0))) {
      BlockingQueue<String> heard = new LinkedBlockingQueue<>();
      SimpleMessageListenerContainer container = new SimpleMessageListenerContainer();
      container.setPrefetchCount(3);
      container.setConsumerArguments(Map.of("x-stream-offset", offset));
      application.listen(
          container,
          stream.getName(),
          message -> heard.add(text(message) + " at " + message.getMessageProperties().getHeader("x-stream-offset")));
      for (int n = offset.equals(6L) ? 6 : 0; n < 10; n++) {
        String one = next(heard);
        check(one.equals("m" + n + " at " + n), offset + ": " + one);
      }
      container.stop();
    }
    application.admin.deleteQueue(stream.getName());
  }

  private static void queuesThatComeAndGo(Application application) throws Exception {
    String name = unique();
    BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer();
    container.setMissingQueuesFatal(false);
    container.setDeclarationRetries(1);
    container.setFailedDeclarationRetryInterval(100);
    application.listen(container, name, message -> heard.add(text(message)));
    for (int time = 0; time < 2; time++) {
      // The second time it was deleted below a consumer.
      application.admin.declareQueue(new Queue(name, false, false, false));
      application.template.convertAndSend(name, "m" + time);
      check(next(heard).equals("m" + time), "it came");
      application.admin.deleteQueue(name);
    }
    Queue single = QueueBuilder.nonDurable(unique()).exclusive().singleActiveConsumer().build();
    application.admin.declareQueue(single);
    application.listen(new SimpleMessageListenerContainer(), single.getName(), message -> heard.add("first"));
    until(() -> application.admin.getQueueInfo(single.getName()).getConsumerCount() == 1, "the first");
    application.listen(new DirectMessageListenerContainer(), single.getName(), message -> heard.add("second"));
    until(() -> application.admin.getQueueInfo(single.getName()).getConsumerCount() == 2, "the second");
    for (int n = 0; n < 5; n++) application.template.convertAndSend(single.getName(), "m");
    for (int n = 0; n < 5; n++) check(next(heard).equals("first"), "one at a time");
  }

  private static void mistakes(Application application) throws Exception {
    Queue queue = application.queue();
    Queue unlike = QueueBuilder.nonDurable(queue.getName()).exclusive().ttl(1).build();
    expect("406", () -> application.admin.declareQueue(unlike));
    expect("404", () -> application.template.execute(channel -> channel.queueDeclarePassive(unique())));
    expect("403", () -> application.admin.declareExchange(new DirectExchange("amq.mine")));
    expect(
        "404",
        () -> application.admin.declareBinding(new Binding(unique(), Binding.DestinationType.QUEUE, "amq.direct", "k", null)));
    CachingConnectionFactory other = Application.connections();
    expect("405", () -> new RabbitTemplate(other).execute(channel -> channel.queueDeclarePassive(queue.getName())));
    other.destroy();
    CachingConnectionFactory nobody = Application.connections();
    nobody.setPassword("wrong");
    expect("ACCESS_REFUSED", nobody::createConnection);
    CachingConnectionFactory nowhere = Application.connections();
    nowhere.setVirtualHost(unique());
    expect("", nowhere::createConnection);
    application.template.convertAndSend(queue.getName(), "m");
    check("m".equals(application.template.receiveAndConvert(queue.getName())), "it goes on");
  }

  private static void theBrokerComesBack(Application application) throws Exception {
    Queue durable = QueueBuilder.durable(unique()).build();
    Queue passing = new AnonymousQueue();
    TopicExchange exchange = new TopicExchange(unique(), false, true);
    application.declare(
        durable, passing, exchange, BindingBuilder.bind(passing).to(exchange).with("#"));
    BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    application.listen(new SimpleMessageListenerContainer(), passing.getName(), message -> heard.add(text(message)));
    CorrelationData kept = new CorrelationData();
    application.template.convertAndSend("", durable.getName(), "kept", kept);
    check(confirm(kept).ack(), "confirmed");
    application.template.convertAndSend(exchange.getName(), "k", "before");
    check(next(heard).equals("before"), "it works before");

    System.out.println("restart the broker");
    System.in.read();

    until(
        () -> {
          try {
            application.template.convertAndSend(exchange.getName(), "k", "behind");
            return "behind".equals(heard.poll(200, TimeUnit.MILLISECONDS));
          } catch (AmqpException notYet) {
            return false;
          }
        },
        "exchange, queue, binding and consumer are there again");
    check("kept".equals(application.template.receiveAndConvert(durable.getName())), "what was confirmed is there");
    application.admin.deleteQueue(durable.getName());
  }

  private interface Work {
    void run() throws Exception;
  }

  private static void expect(String code, Work wrong) throws Exception {
    try {
      wrong.run();
    } catch (AmqpException error) {
      String said = error + " " + error.getCause() + " " + (error.getCause() == null ? "" : error.getCause().getCause());
      check(said.contains(code), said + " is not " + code);
      return;
    }
    throw new AssertionError("no " + code);
  }

  private static CorrelationData.Confirm confirm(CorrelationData data) throws Exception {
    return data.getFuture().get(TIMEOUT_S, TimeUnit.SECONDS);
  }

  private interface Condition {
    boolean holds() throws Exception;
  }

  private static void until(Condition condition, String what) throws Exception {
    for (long deadline = System.nanoTime() + TIMEOUT_S * 1_000_000_000L; !condition.holds(); Thread.sleep(20))
      check(System.nanoTime() < deadline, "too late: " + what);
  }

  private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
    T one = queue.poll(TIMEOUT_S, TimeUnit.SECONDS);
    check(one != null, "nothing came");
    return one;
  }

  private static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  private static String text(Message message) {
    return new String(message.getBody(), StandardCharsets.UTF_8);
  }

  private static String unique() {
    return "spring-" + UUID.randomUUID();
  }
}
