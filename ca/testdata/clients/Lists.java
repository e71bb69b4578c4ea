import java.io.*;
import java.security.cert.*;
import java.util.*;

/** Validates certificates by the JDK's own path validation and revocation lists: a line "kind state verdict" for each. */
public class Lists {
    static CertificateFactory factory;
    static String dir;

    static X509Certificate certificate(String name) throws Exception {
        try (var file = new FileInputStream(dir + "/" + name)) {
            return (X509Certificate) factory.generateCertificate(file);
        }
    }

    static CRL list(String name) throws Exception {
        try (var file = new FileInputStream(dir + "/" + name)) {
            return factory.generateCRL(file);
        }
    }

    static String judge(String kind, String state) throws Exception {
        var path = factory.generateCertPath(List.of(certificate(state + ".pem"), certificate("authentication.pem")));
        var validator = CertPathValidator.getInstance("PKIX");
        var checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.PREFER_CRLS, PKIXRevocationChecker.Option.NO_FALLBACK));
        var parameters = new PKIXParameters(Set.of(new TrustAnchor(certificate("root.pem"), null)));
        if (!kind.equals("url")) {
            var lists = List.of(list("root.crl"), list((kind.equals("shard") ? state + "-shard" : kind) + ".crl"));
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
        }
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(path, parameters);
            return "good";
        } catch (CertPathValidatorException e) {
            if (e.getReason() == CertPathValidatorException.BasicReason.REVOKED && e.getIndex() == 0) return "revoked";
            return (e.toString() + " " + e.getReason() + " at " + e.getIndex() + " " + e.getCause()).replace('\n', ' ');
        }
    }

    public static void main(String[] args) throws Exception {
        dir = args[0];
        factory = CertificateFactory.getInstance("X.509");
        System.setProperty("com.sun.security.enableCRLDP", "true");
        for (String kind : List.of("full", "shard", "url"))
            for (String state : List.of("good", "revoked", "held", "released"))
                System.out.println(kind + " " + state + " " + judge(kind, state));
    }
}
