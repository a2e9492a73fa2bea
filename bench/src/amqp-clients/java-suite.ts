/** RabbitMQ's client for Java, from Maven, which has no tests of it: a program of ours, run from its source. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientSuite, mustRun, runProgram } from './client-suite.ts';

const PROGRAM = fileURLToPath(new URL('programs/JavaProgram.java', import.meta.url));
const VERSION = '5.37.1';
const SLF4J = '1.7.36';
const JDK = 'a JDK of 17 or later (Debian: apt-get install openjdk-17-jdk-headless)';

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace</groupId><artifactId>clients</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.rabbitmq</groupId><artifactId>amqp-client</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>${SLF4J}</version></dependency>
  </dependencies>
</project>
`;

export const javaSuite: ClientSuite = {
  name: 'java-amqp-client',
  version: VERSION,
  tools: { java: JDK, mvn: 'Maven (Debian: apt-get install maven)' },
  leftOut: [],
  fetch: async (folder) => {
    mkdirSync(folder, { recursive: true });
    const pom = join(folder, 'pom.xml');
    writeFileSync(pom, POM);
    const into = `-DoutputDirectory=${join(folder, 'libs')}`;
    await mustRun('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', into]);
  },
  run: (folder, broker) => runProgram('java', ['-cp', join(folder, 'libs', '*'), PROGRAM], broker),
};
