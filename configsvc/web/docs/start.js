"use strict";

SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  // By default, an address outside of this machine is sent to a validator of others.
  validatorUrl: null,
  // Tokens stay in the memory of the page.
  persistAuthorization: false,
});
