import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import configapi.v1.ConfigurationKey;
import configapi.v1.ConfigurationServiceGrpc;
import configapi.v1.ContentFormat;
import configapi.v1.GetConfigurationRequest;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** Read one configuration: java Get ADDRESS APPLICATION NAME */
final class Get {
    static final Gson GSON = new Gson();

    static ManagedChannel connect(String address) throws IOException {
        String authorities = System.getenv("CONFIGSVC_CA_FILE"), token = System.getenv("CONFIGSVC_TOKEN_FILE");
        ChannelCredentials credentials = InsecureChannelCredentials.create();
        if (authorities != null) {
            credentials = TlsChannelCredentials.newBuilder().trustManager(new File(authorities)).build();
            if (token != null) {
                credentials = CompositeChannelCredentials.create(credentials, new TokenFile(Path.of(token)));
            }
        }
        // The library repeats reads. Writes are not in the file: after UNAVAILABLE, one may have been done.
        var policy = new InputStreamReader(Get.class.getResourceAsStream("/service-config.json"));
        return Grpc.newChannelBuilder(address, credentials)
                .defaultServiceConfig(GSON.<Map<String, ?>>fromJson(policy, Map.class))
                .enableRetry()
                .keepAliveTime(20, TimeUnit.SECONDS) // the server refuses pings closer than 10 s
                .keepAliveTimeout(10, TimeUnit.SECONDS)
                .build();
    }

    /** A token in a file, which is read for each call, as tokens expire. */
    static final class TokenFile extends CallCredentials {
        private final Path file;

        TokenFile(Path file) {
            this.file = file;
        }

        @Override
        public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
            try {
                var metadata = new Metadata();
                var key = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
                metadata.put(key, "Bearer " + Files.readString(file).strip());
                applier.apply(metadata);
            } catch (IOException error) {
                applier.fail(Status.UNAUTHENTICATED.withCause(error));
            }
        }

        @Override
        public void thisUsesUnstableApi() {}
    }

    /** An error. Without a reason, it comes from a library or a proxy: its code says nothing. */
    record Details(Status.Code code, String text, String reason, double retrySeconds, Map<String, String> faults) {
        static Details of(Throwable error) {
            var status = Status.fromThrowable(error);
            var reason = "";
            var retrySeconds = 0.0;
            var faults = new TreeMap<String, String>();
            try {
                var found = StatusProto.fromThrowable(error);
                for (var detail : found == null ? List.<Any>of() : found.getDetailsList()) {
                    if (detail.is(ErrorInfo.class)) {
                        var info = detail.unpack(ErrorInfo.class);
                        reason = info.getDomain().equals("configsvc") ? info.getReason() : reason;
                    } else if (detail.is(RetryInfo.class)) {
                        var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                        retrySeconds = delay.getSeconds() + delay.getNanos() / 1e9;
                    } else if (detail.is(BadRequest.class)) {
                        for (var fault : detail.unpack(BadRequest.class).getFieldViolationsList()) {
                            faults.put(fault.getField(), fault.getDescription());
                        }
                    }
                }
            } catch (InvalidProtocolBufferException others) {
                // Not the details that the service sends.
            }
            return new Details(status.getCode(), status.getDescription(), reason, retrySeconds, faults);
        }
    }

    public static void main(String[] arguments) throws IOException {
        var channel = connect(arguments[0]);
        var service = ConfigurationServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS);
        var key = ConfigurationKey.newBuilder().setApplication(arguments[1]).setName(arguments[2]);
        var request = GetConfigurationRequest.newBuilder().setKey(key).setFormat(ContentFormat.CONTENT_FORMAT_JSON);
        try {
            var found = service.getConfiguration(request.build()).getConfiguration();
            var content = GSON.fromJson(found.getConfigJson(), JsonObject.class);
            var line = Map.of("name", found.getName(), "version", found.getVersion(), "content", content);
            System.out.println(GSON.toJson(line));
        } catch (RuntimeException error) {
            System.out.println(GSON.toJson(Details.of(error)));
            System.exit(1);
        } finally {
            channel.shutdownNow();
        }
    }
}
