import com.google.gson.JsonObject;
import com.google.protobuf.Duration;
import configapi.v1.ApplicationRef;
import configapi.v1.ConfigurationEvent;
import configapi.v1.ConfigurationSelector;
import configapi.v1.ConfigurationServiceGrpc;
import configapi.v1.ContentFormat;
import configapi.v1.Effect;
import configapi.v1.WatchConfigurationsRequest;
import configapi.v1.WatchConfigurationsResponse;
import io.grpc.ManagedChannel;
import io.grpc.Status.Code;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Keep a copy of an application's configurations: java Follow ADDRESS APPLICATION [FILE] */
final class Follow {
    record Entry(String name, long version, JsonObject content) {}

    /** A view, by id, as names can change, and the position of its last message. */
    record State(String token, Map<String, Entry> view) {}

    private static final Set<Code> FINAL = Set.of(Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED);
    private static final long PROGRESS_SECONDS = Long.parseLong(System.getenv().getOrDefault("PROGRESS_SECONDS", "10"));

    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(); // for the watchdog
    private final String address;
    private final String application;
    private final Path file;
    private double delay = 1;
    /** Replaced as a whole, so that nobody sees half of a commit: any thread can use state.view(). */
    volatile State state = new State("", Map.of());

    Follow(String address, String application, Path file) throws IOException {
        this.address = address;
        this.application = application;
        this.file = file;
        if (file != null && Files.exists(file)) {
            state = Get.GSON.fromJson(Files.readString(file), State.class);
        }
    }

    /** Open the watch again after any end, after a pause that grows and has a random part. */
    void run() throws IOException, InterruptedException {
        for (; ; delay = Math.min(2 * delay, 30)) {
            var channel = Get.connect(address);
            Get.Details ended;
            try {
                watch(channel);
                ended = Get.Details.of(new IOException("the stream ended"));
            } catch (RuntimeException | IOException error) {
                ended = Get.Details.of(error);
            } finally {
                channel.shutdownNow();
            }
            if (!ended.reason().isEmpty() && ended.code() == Code.OUT_OF_RANGE) {
                // The history was compacted, or is another one. The view stays until the snapshot is complete.
                state = new State("", state.view());
            }
            var line = Get.GSON.toJsonTree(ended).getAsJsonObject();
            line.addProperty("event", "ended");
            line.addProperty("kept", state.view().size());
            System.out.println(line);
            if (!ended.reason().isEmpty() && FINAL.contains(ended.code())) {
                System.exit(1); // the same call can never succeed
            }
            Thread.sleep((long) (1000 * (ended.retrySeconds() + delay * ThreadLocalRandom.current().nextDouble())));
        }
    }

    private void watch(ManagedChannel channel) throws IOException {
        var named = ApplicationRef.newBuilder().setName(application);
        var request = WatchConfigurationsRequest.newBuilder()
                .addSelectors(ConfigurationSelector.newBuilder().setApplication(named))
                .setProgressInterval(Duration.newBuilder().setSeconds(PROGRESS_SECONDS))
                .setFormat(ContentFormat.CONTENT_FORMAT_JSON);
        if (!state.token().isEmpty()) {
            request.setResumeToken(state.token());
        }
        Runnable giveUp = () -> {
            System.out.println("{\"event\":\"lost\"}");
            channel.shutdownNow();
        };
        var lost = 30_000L;
        var watchdog = clock.schedule(giveUp, lost, TimeUnit.MILLISECONDS);
        var pending = new ArrayList<ConfigurationEvent>();
        try {
            var messages = ConfigurationServiceGrpc.newBlockingStub(channel).watchConfigurations(request.build());
            while (messages.hasNext()) {
                var message = messages.next();
                if (message.hasOpened()) { // three bookmarks
                    var interval = message.getOpened().getProgressInterval();
                    lost = 3 * (1000 * interval.getSeconds() + interval.getNanos() / 1_000_000);
                }
                watchdog.cancel(false);
                watchdog = clock.schedule(giveUp, lost, TimeUnit.MILLISECONDS);
                pending.addAll(message.getEventsList());
                if (!message.getResumeToken().isEmpty()) {
                    apply(pending, message);
                    pending.clear();
                    delay = 0.5;
                }
            }
        } finally {
            watchdog.cancel(false);
        }
    }

    /** Apply what belongs together, as it comes with one token: a commit, or the whole snapshot. */
    private void apply(List<ConfigurationEvent> events, WatchConfigurationsResponse message) throws IOException {
        var isSnapshot = state.token().isEmpty();
        var view = new HashMap<>(isSnapshot ? Map.of() : state.view());
        var changed = new ArrayList<String>();
        for (var event : events) {
            var found = event.getConfiguration();
            if (event.getEffect() == Effect.EFFECT_SET) {
                var content = Get.GSON.fromJson(found.getConfigJson(), JsonObject.class);
                view.put(found.getId(), new Entry(found.getName(), found.getVersion(), content));
            } else if (event.getEffect() == Effect.EFFECT_REMOVE) {
                view.remove(found.getId());
            }
            changed.add(found.getName() + "@" + found.getVersion());
        }
        state = new State(message.getResumeToken(), view);
        if (file != null) {
            var next = Path.of(file + ".new");
            Files.deleteIfExists(next);
            Files.createFile(next, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            Files.writeString(next, Get.GSON.toJson(state));
            Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
        }
        if (isSnapshot || !changed.isEmpty()) {
            var contents = new TreeMap<String, JsonObject>();
            view.values().forEach(entry -> contents.put(entry.name(), entry.content()));
            var revision = message.getRevision();
            var line = Map.of("event", "view", "revision", revision, "changed", changed, "contents", contents);
            System.out.println(Get.GSON.toJson(line));
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        new Follow(arguments[0], arguments[1], arguments.length > 2 ? Path.of(arguments[2]) : null).run();
    }
}
