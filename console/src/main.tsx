import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/errors";
import { App } from "./app/App";
import { SessionProvider } from "./session/Session";
import "./styles.css";

const RETRIES = 2;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What is shown was read just now.
      staleTime: 0,
      gcTime: 60_000,
      retry: (count, error) => count < RETRIES && error instanceof ApiError && error.mayPass,
    },
    mutations: { retry: false },
  },
});

const root = document.getElementById("console");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <SessionProvider>
          <App />
        </SessionProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
}
