/** RabbitMQ's client for Java and Spring AMQP, from Maven, which has no tests of them: programs of ours, run from their sources. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientSuite, mustRun, runProgram } from './client-suite.ts';

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));
const SLF4J = '1.7.36';
const JDK = 'a JDK of 17 or later (Debian: apt-get install openjdk-17-jdk-headless)';

export const javaSuites: readonly ClientSuite[] = [
  ours('java-amqp-client', 'com.rabbitmq:amqp-client', '5.37.1', 'JavaProgram.java'),
  ours('spring-amqp', 'org.springframework.amqp:spring-rabbit', '4.1.2', 'SpringProgram.java'),
];

function ours(name: string, artifact: string, version: string, program: string): ClientSuite {
  return {
    name,
    version,
    tools: { java: JDK, mvn: 'Maven (Debian: apt-get install maven)' },
    leftOut: [],
    fetch: async (folder) => {
      const pom = join(folder, 'pom.xml');
      writeFileSync(pom, pomWith([`${artifact}:${version}`, `org.slf4j:slf4j-nop:${SLF4J}`]));
      const into = `-DoutputDirectory=${join(folder, 'libs')}`;
      await mustRun('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', into]);
    },
    run: (folder, broker) =>
      runProgram('java', ['-cp', join(folder, 'libs', '*'), join(PROGRAMS, program)], broker),
  };
}

function pomWith(dependencies: readonly string[]): string {
  const elements = dependencies.map((dependency) => {
    const [group, artifact, version] = dependency.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace</groupId><artifactId>clients</artifactId><version>1</version>
  <dependencies>${elements.join('')}</dependencies>
</project>
`;
}
