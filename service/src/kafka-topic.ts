/** A name that Kafka takes. Source: org.apache.kafka.common.internals.Topic. crds/pushgateway.yaml has the same as a pattern and a rule
 *  (test/judges-agree.test.ts holds them together). */
export const kafkaTopicPattern = "^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,249}$";

export const kafkaTopicExpected = 'a Kafka topic name: 1 to 249 letters, digits, ".", "_" and "-", and neither "." nor ".."';

const pattern = new RegExp(kafkaTopicPattern);

export function isKafkaTopic(text: string): boolean {
  return pattern.test(text);
}
