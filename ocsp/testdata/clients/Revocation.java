import java.io.*;
import java.net.URI;
import java.security.cert.*;
import java.security.cert.Extension;
import java.util.*;

/** Validates certificates by the JDK's own OCSP client: for each line "NAME NONCE" on standard input one line of verdict. */
public class Revocation {
    record Nonce(byte[] value) implements Extension {
        public String getId() { return "1.3.6.1.5.5.7.48.1.2"; }
        public boolean isCritical() { return false; }
        public byte[] getValue() { return value; }
        public void encode(OutputStream out) throws IOException {
            byte[] id = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02};
            var body = new ByteArrayOutputStream();
            body.write(id);
            header(body, 0x04, value.length);
            body.write(value);
            header(out, 0x30, body.size());
            out.write(body.toByteArray());
        }
    }

    static void header(OutputStream out, int tag, int n) throws IOException {
        out.write(tag);
        if (n >= 128) out.write(0x81);
        out.write(n);
    }

    static Nonce nonce(int n) throws IOException {
        var value = new ByteArrayOutputStream();
        header(value, 0x04, n);
        for (int i = 0; i < n; i++) value.write(i + 1);
        return new Nonce(value.toByteArray());
    }

    public static void main(String[] args) throws Exception {
        System.setProperty("com.sun.security.ocsp.useget", args[2]);
        var factory = CertificateFactory.getInstance("X.509");
        var in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String[] word = line.split(" ");
            System.out.println(judge(factory, args[0], args[1], word));
        }
    }

    static X509Certificate read(CertificateFactory factory, String path) throws Exception {
        try (var file = new FileInputStream(path)) {
            return (X509Certificate) factory.generateCertificate(file);
        }
    }

    static String judge(CertificateFactory factory, String dir, String url, String[] word) throws Exception {
        var anchor = new TrustAnchor(read(factory, dir + "/" + word[1] + ".der"), null);
        var path = factory.generateCertPath(List.of(read(factory, dir + "/" + word[0] + ".der")));
        var validator = CertPathValidator.getInstance("PKIX");
        var checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOcspResponder(URI.create(url));
        checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK));
        if (!word[2].equals("none")) checker.setOcspExtensions(List.of(nonce(Integer.parseInt(word[2]))));
        var parameters = new PKIXParameters(Set.of(anchor));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(path, parameters);
            return "good";
        } catch (CertPathValidatorException e) {
            if (e.getReason() == CertPathValidatorException.BasicReason.REVOKED) return "revoked";
            String text = e.toString() + " " + e.getCause();
            if (text.contains("revocation status is unknown")) return "unknown";
            if (text.contains("UNAUTHORIZED")) return "unauthorized";
            if (text.contains("MALFORMED_REQUEST")) return "malformed";
            return text.replace('\n', ' ');
        }
    }
}
