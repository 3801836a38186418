import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.longrunning.OperationsGrpc;
import com.google.longrunning.WaitOperationRequest;
import com.google.protobuf.Duration;
import com.google.rpc.ErrorInfo;
import configapi.v1.ApplicationRef;
import configapi.v1.BatchGetConfigurationsRequest;
import configapi.v1.BatchWriteConfigurationsRequest;
import configapi.v1.Configuration;
import configapi.v1.ConfigurationItem;
import configapi.v1.ConfigurationKey;
import configapi.v1.ConfigurationRef;
import configapi.v1.ConfigurationSelector;
import configapi.v1.ConfigurationServiceGrpc;
import configapi.v1.ConfigurationServiceGrpc.ConfigurationServiceBlockingStub;
import configapi.v1.ConfigurationWrite;
import configapi.v1.ContentFormat;
import configapi.v1.CreateConfigurationRequest;
import configapi.v1.ExportConfigurationsRequest;
import configapi.v1.GetConfigurationRequest;
import configapi.v1.ImportConfigurationsRequest;
import configapi.v1.ImportMode;
import configapi.v1.WatchConfigurationsRequest;
import configapi.v1.WatchConfigurationsResponse;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import com.google.longrunning.Operation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** What a client on grpc-java gets: java Cases ADDRESS PREFIX */
final class Cases {
    private static final Gson GSON = new Gson();
    private final String prefix;
    private final ManagedChannel channel;
    private final ConfigurationServiceBlockingStub service;

    Cases(String address, String prefix) {
        this.prefix = prefix;
        channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
        service = ConfigurationServiceGrpc.newBlockingStub(channel);
    }

    String name(String text) {
        return prefix + "/" + text;
    }

    static ApplicationRef shop() {
        return ApplicationRef.newBuilder().setName("shop").build();
    }

    ConfigurationItem item(String text, String content) {
        return ConfigurationItem.newBuilder().setApplication(shop()).setName(name(text)).setConfigJson(content).build();
    }

    long create(ConfigurationServiceBlockingStub on, String text, String content) {
        var request = CreateConfigurationRequest.newBuilder().setApplication(shop()).setName(name(text));
        return on.createConfiguration(request.setConfigJson(content).build()).getConfiguration().getVersion();
    }

    ConfigurationKey key(String text) {
        return ConfigurationKey.newBuilder().setApplication("shop").setName(name(text)).build();
    }

    GetConfigurationRequest reading(String text) {
        return GetConfigurationRequest.newBuilder().setKey(key(text)).setFormat(ContentFormat.CONTENT_FORMAT_JSON).build();
    }

    static String text(Configuration configuration) {
        return GSON.fromJson(configuration.getConfigJson(), JsonObject.class).get("text").getAsString();
    }

    static String end(Throwable error) {
        var reason = "";
        try {
            var found = StatusProto.fromThrowable(error);
            for (var detail : found.getDetailsList()) {
                reason = detail.is(ErrorInfo.class) ? " " + detail.unpack(ErrorInfo.class).getReason() : reason;
            }
        } catch (com.google.protobuf.InvalidProtocolBufferException others) {
            reason = " ?";
        }
        return Status.fromThrowable(error).getCode() + reason;
    }

    WatchConfigurationsRequest watching(String text) {
        var selector = ConfigurationSelector.newBuilder().setApplication(shop()).addNames(name(text));
        return WatchConfigurationsRequest.newBuilder()
                .addSelectors(selector)
                .setFormat(ContentFormat.CONTENT_FORMAT_JSON)
                .build();
    }

    String unary() {
        create(service, "unary", "{\"text\":\"ä\"}");
        var found = service.getConfiguration(reading("unary")).getConfiguration();
        return found.getVersion() + " " + text(found);
    }

    String error() {
        try {
            service.getConfiguration(reading("missing"));
            return "OK";
        } catch (StatusRuntimeException error) {
            return end(error);
        }
    }

    String watch() {
        var seen = "";
        var context = Context.current().withCancellation();
        var before = context.attach();
        try {
            var messages = service.watchConfigurations(watching("watched"));
            while (messages.hasNext()) {
                WatchConfigurationsResponse message = messages.next();
                if (message.getSynced()) {
                    create(service, "watched", "{\"a\":1}");
                }
                for (var event : message.getEventsList()) {
                    var found = event.getConfiguration();
                    seen = found.getName().equals(name("watched")) + " " + found.getConfigJson();
                    context.cancel(null);
                }
            }
            return seen + " OK";
        } catch (StatusRuntimeException error) {
            return seen + " " + end(error);
        } finally {
            context.detach(before);
        }
    }

    String deadline() {
        try {
            var messages = service.withDeadlineAfter(300, TimeUnit.MILLISECONDS).watchConfigurations(watching("nothing"));
            while (messages.hasNext()) {
                messages.next();
            }
            return "OK";
        } catch (StatusRuntimeException error) {
            return end(error);
        }
    }

    String upload() throws Exception {
        var answer = new CompletableFuture<Operation>();
        var requests = ConfigurationServiceGrpc.newStub(channel).importConfigurations(new StreamObserver<Operation>() {
            @Override
            public void onNext(Operation operation) {
                answer.complete(operation);
            }

            @Override
            public void onError(Throwable error) {
                answer.completeExceptionally(error);
            }

            @Override
            public void onCompleted() {}
        });
        for (int at = 0; at < 3; at++) {
            var request = ImportConfigurationsRequest.newBuilder().addItems(item("up" + at, "{}"));
            if (at == 0) {
                request.setMode(ImportMode.IMPORT_MODE_PER_ITEM);
            }
            requests.onNext(request.build());
        }
        requests.onCompleted();
        var wait = WaitOperationRequest.newBuilder()
                .setName(answer.get(20, TimeUnit.SECONDS).getName())
                .setTimeout(Duration.newBuilder().setSeconds(20));
        return String.valueOf(OperationsGrpc.newBlockingStub(channel).waitOperation(wait.build()).getDone());
    }

    String gzip() {
        var zipping = service.withCompression("gzip");
        create(zipping, "zipped", "{\"text\":\"" + "x".repeat(100_000) + "\"}");
        return String.valueOf(text(zipping.getConfiguration(reading("zipped")).getConfiguration()).length());
    }

    String large() {
        var content = "{\"text\":\"" + "x".repeat(250_000) + "\"}";
        var write = BatchWriteConfigurationsRequest.newBuilder();
        var read = BatchGetConfigurationsRequest.newBuilder().setFormat(ContentFormat.CONTENT_FORMAT_JSON);
        for (int at = 0; at < 8; at++) {
            write.addWrites(ConfigurationWrite.newBuilder().setCreate(item("large" + at, content)));
            read.addRefs(ConfigurationRef.newBuilder().setKey(key("large" + at)));
        }
        service.batchWriteConfigurations(write.build());
        var size = 0;
        for (var one : service.batchGetConfigurations(read.build()).getResultsList()) {
            size += one.getConfiguration().getConfigJson().length();
        }
        return String.valueOf(size > 2_000_000);
    }

    String export() {
        var selector = ConfigurationSelector.newBuilder().setApplication(shop()).setNamePrefix(name("large"));
        var request = ExportConfigurationsRequest.newBuilder().setSelector(selector);
        var messages = service.exportConfigurations(request.setFormat(ContentFormat.CONTENT_FORMAT_JSON).build());
        var count = 0;
        while (messages.hasNext()) {
            count += messages.next().getItemsCount();
        }
        return String.valueOf(count);
    }

    String metadata() {
        var all = new byte[256];
        for (int at = 0; at < all.length; at++) {
            all[at] = (byte) at;
        }
        var sent = new Metadata();
        sent.put(Metadata.Key.of("x-change-request", Metadata.ASCII_STRING_MARSHALLER), "CR of " + prefix);
        sent.put(Metadata.Key.of("x-trace-bin", Metadata.BINARY_BYTE_MARSHALLER), all);
        return String.valueOf(create(MetadataUtils.attachHeaders(service, sent), "metadata", "{}"));
    }

    String many() throws Exception {
        var stub = ConfigurationServiceGrpc.newFutureStub(channel);
        var calls = new ArrayList<com.google.common.util.concurrent.ListenableFuture<?>>();
        for (int at = 0; at < 200; at++) {
            calls.add(stub.getConfiguration(reading("unary")));
        }
        for (var call : calls) {
            call.get(20, TimeUnit.SECONDS);
        }
        return String.valueOf(calls.size());
    }

    public static void main(String[] arguments) {
        var cases = new Cases(arguments[0], arguments[1]);
        var all = new LinkedHashMap<String, Callable<String>>();
        all.put("unary", cases::unary);
        all.put("error", cases::error);
        all.put("watch", cases::watch);
        all.put("deadline", cases::deadline);
        all.put("upload", cases::upload);
        all.put("gzip", cases::gzip);
        all.put("large", cases::large);
        all.put("export", cases::export);
        all.put("metadata", cases::metadata);
        all.put("many", cases::many);
        var found = new LinkedHashMap<String, String>();
        for (Map.Entry<String, Callable<String>> one : all.entrySet()) {
            try {
                found.put(one.getKey(), one.getValue().call());
            } catch (Exception error) {
                found.put(one.getKey(), "FAILED " + error);
            }
        }
        System.out.println(GSON.toJson(found));
        cases.channel.shutdownNow();
    }
}
