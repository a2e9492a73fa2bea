// Encodes messages with Apache Kafka's own classes: the oracle of kafka-vectors.txt (make-vectors.ts runs it).
//
// In:  one line per message: name, version, Kafka's JSON form of it.
// Out: one line per message: the bytes in hexadecimal; or ERROR and why, also when Kafka does not read back what it wrote.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class KafkaEncoder {
  private static final String[] PACKAGES = {
    "org.apache.kafka.common.message.",
    "org.apache.kafka.coordinator.group.generated.",
    "org.apache.kafka.coordinator.transaction.generated.",
  };

  public static void main(String[] args) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] parts = line.split(" ", 3);
      try {
        out.println(encode(parts[0], Short.parseShort(parts[1]), mapper.readTree(parts[2])));
      } catch (InvocationTargetException e) {
        out.println("ERROR " + String.valueOf(e.getCause()).replace('\n', ' '));
      } catch (Exception e) {
        out.println("ERROR " + e.toString().replace('\n', ' '));
      }
    }
    out.flush();
  }

  private static String encode(String name, short version, JsonNode json) throws Exception {
    Class<?> data = dataClass(name);
    Class<?> converter = Class.forName(data.getName() + "JsonConverter");
    Message message =
        (Message)
            converter.getMethod("read", JsonNode.class, short.class).invoke(null, json, version);
    ObjectSerializationCache cache = new ObjectSerializationCache();
    ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
    message.write(new ByteBufferAccessor(bytes), cache, version);
    bytes.flip();
    Object again =
        data.getConstructor(org.apache.kafka.common.protocol.Readable.class, short.class)
            .newInstance(new ByteBufferAccessor(bytes.duplicate()), version);
    if (!message.equals(again)) return "ERROR read back as " + again;
    return HexFormat.of().formatHex(bytes.array());
  }

  private static Class<?> dataClass(String name) throws ClassNotFoundException {
    boolean request = name.endsWith("Request") || name.endsWith("Response");
    for (String prefix : PACKAGES) {
      try {
        return Class.forName(prefix + name + (request ? "Data" : ""));
      } catch (ClassNotFoundException e) {
        // The next package.
      }
    }
    throw new ClassNotFoundException(name);
  }
}
