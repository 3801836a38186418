import { to } from "../app/routes";

/** What uses a schema, as the service names it: "configuration shop:web" or "schema web@2". */
export function userOf(subject: string): { text: string; href: string | undefined } {
  const configuration = /^configuration (?<application>[^:]*):(?<name>.*)$/s.exec(subject)?.groups;
  if (configuration) {
    const { application = "", name = "" } = configuration;
    return { text: `${application}/${name}`, href: to.configuration(application, name) };
  }
  const schema = /^schema (?<name>.*)@(?<version>\d+)$/s.exec(subject)?.groups;
  if (schema) {
    const { name = "", version = "" } = schema;
    return { text: `schema ${name}, version ${version}`, href: to.schema(name, { version }) };
  }
  return { text: subject, href: undefined };
}

/** Return the key of the draft of a schema's next version. */
export function draftKey(name: string): string {
  return `schema\n${name}`;
}
