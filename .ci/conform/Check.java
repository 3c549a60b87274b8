import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The verdicts of networknt on the cases that a schema can tell. */
class Check {
    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        SchemaRegistry registry = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12);
        Map<String, Schema> schemas = new HashMap<>();
        List<String> wrong = new ArrayList<>();
        int checked = 0;
        // A case is a line; these members come first in it, and in this order.
        Pattern line = Pattern.compile("\\{\"file\":\"([^\"]+)\",\"schema\":\"([^\"]+)\",\"valid\":(true|false),\"by\":\"schema\"(.*)");
        for (String text : Files.readAllLines(folder.resolve("cases.json"))) {
            Matcher c = line.matcher(text.strip());
            if (!c.matches()) {
                continue;
            }
            if (!schemas.containsKey(c.group(2))) {
                schemas.put(c.group(2), registry.getSchema(Files.readString(folder.resolve(c.group(2)))));
            }
            var errors = schemas.get(c.group(2)).validate(Files.readString(folder.resolve(c.group(1))), InputFormat.JSON,
                context -> context.executionConfig(config -> config.formatAssertionsEnabled(true)));
            checked++;
            if (errors.isEmpty() != c.group(3).equals("true")) {
                wrong.add(c.group(1) + ": valid is " + errors.isEmpty() + ": " + errors + " " + c.group(4));
            }
        }
        System.out.println("networknt: " + checked + " cases");
        if (!wrong.isEmpty() || checked < 30) {
            System.err.println(String.join("\n", wrong));
            System.exit(1);
        }
    }
}
