/** The addresses of all screens. */
import { link, type Parameters } from "./location";

const path = (...parts: string[]) => `/${parts.map((one) => encodeURIComponent(one)).join("/")}`;

export const to = {
  configurations: (parameters?: Parameters) => link("/configurations", parameters),
  newConfiguration: (application?: string, more: Parameters = {}) =>
    link("/new-configuration", { application, ...more }),
  configuration: (application: string, name: string) => link(path("configurations", application, name)),
  edit: (application: string, name: string) => link(path("configurations", application, name, "edit")),
  history: (application: string, name: string, parameters?: Parameters) =>
    link(path("configurations", application, name, "history"), parameters),
  blame: (application: string, name: string) => link(path("configurations", application, name, "blame")),
  applications: () => link("/applications"),
  application: (name: string) => link(path("applications", name)),
  past: (application: string, parameters?: Parameters) =>
    link(path("applications", application, "past"), parameters),
  schemas: () => link("/schemas"),
  newSchema: () => link("/new-schema"),
  schema: (name: string, parameters?: Parameters) => link(path("schemas", name), parameters),
  newSchemaVersion: (name: string) => link(path("schemas", name, "new-version")),
  migration: (name: string) => link(path("schemas", name, "migrate")),
  audit: (parameters?: Parameters) => link("/audit", parameters),
  operations: (parameters?: Parameters) => link("/operations", parameters),
  operation: (name: string) => link(path("operations", name.replace(/^operations\//, ""))),
  transfer: (parameters?: Parameters) => link("/transfer", parameters),
  access: (parameters?: Parameters) => link("/access", parameters),
  status: () => link("/status"),
};
